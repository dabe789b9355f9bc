"""The sections of the page on the errors of the best model, and where it comes from."""

from __future__ import annotations

import json
from typing import Any

from pfd_operator.contract.outcome import FEWEST_TRAJECTORIES_OF_INTERVAL, ErrorMetrics
from pfd_worker.report import plots
from pfd_worker.report.cells import ERROR_COLUMNS, LABELS_COLUMN, best_name, error_cells, frames_in_words, number
from pfd_worker.report.data import ReportData
from pfd_worker.report.markup import Cell, details, figure, figures, paragraph, preformatted, section, table

MAX_INPUT_ROWS = 200
_BASELINE_NAMES = {"pretrained": "pre-trained", "shifted": "pre-trained, energy shifted"}
_TRAINED_NAMES = {"FineTuneJob": "fine-tuned", "DistillJob": "student"}


def headline(data: ReportData) -> str:
    """Say in one line how good the best model is."""
    error = f"force RMSE {number(data.best['forceRmse'])} eV/Å on {frames_in_words(data.best)}"
    if data.best_iteration is None:
        return f"{data.job.name}: no training has beaten the shifted pre-trained model yet, {error}"
    return f"{data.job.name}: {error}"


def summary(data: ReportData) -> str:
    """Baselines, the best model, and the newest one if it is another."""
    rows = [
        [title, *error_cells(data.history.baselines[name]), "0"]
        for name, title in _BASELINE_NAMES.items()
        if name in data.history.baselines
    ]
    best = next((n for n, row in enumerate(rows) if row[0] == _BASELINE_NAMES["shifted"]), None)
    last, trained = data.history.last, _TRAINED_NAMES[data.job.kind]
    if data.best_iteration is not None:
        record = data.history.record(data.best_iteration)
        labels = "" if record is None else str(record.training_labels)
        best = len(rows)
        rows.append([f"{trained}, iteration {data.best_iteration} (best)", *error_cells(data.best), labels])
    if data.best_iteration != last.iteration and last.training_labels:
        labels = str(last.training_labels)
        rows.append([f"{trained}, iteration {last.iteration}", *error_cells(last.errors["holdout"]), labels])
    return section(
        "summary",
        "Errors on the hold-out",
        table(["model", *ERROR_COLUMNS, LABELS_COLUMN], rows, best),
        paragraph(
            f"Root-mean-square errors on {frames_in_words(data.best)} that no training saw, with the 95 % interval "
            "of the force error for other trajectories, by the jackknife; fewer than "
            f"{FEWEST_TRAJECTORIES_OF_INTERVAL} of them give none."
            f"{_share(data)}",
            quiet=True,
        ),
        _label_noise(data),
    )


def _share(data: ReportData) -> str:
    """Say how large the force error is beside the forces themselves."""
    best = ErrorMetrics.model_validate(data.best)
    if best.force_share is None:
        return ""
    rough = ": MD with it is rough, whatever limits hold" if best.rough else ""
    return f" That of {best_name(data)} is {100 * best.force_share:.0f} % of the RMS force of the labels{rough}."


def _label_noise(data: ReportData) -> str:
    """Say how far the labels themselves are from tighter ones: below that, errors say nothing."""
    noise = data.history.baselines.get("labelNoise")
    if noise is None:
        return ""
    too_few = " That of the energy is not known: there are too few frames to tell it from the shifts."
    unknown = "" if "energyRmsePerAtom" in noise else too_few
    return paragraph(
        f"Label noise: on {frames_in_words(noise)} the labels differ from those of tighter settings "
        f"(spec.labeling.noiseCheck) by {_differences(noise)}. Errors below that say nothing of the "
        f"accuracy.{unknown}{_training_label_noise(data)}",
        quiet=True,
    )


def _training_label_noise(data: ReportData) -> str:
    """Say the same of frames trained on, the newest to what was labelled before."""
    noise = data.history.baselines.get("trainingLabelNoise")
    if noise is None:
        return ""
    frames = f"{noise['frames']} training frame{'' if noise['frames'] == 1 else 's'}"
    return f" The same on {frames}, the newest of each iteration: {_differences(noise)}."


def _differences(noise: dict[str, Any]) -> str:
    energy, virial = noise.get("energyRmsePerAtom"), noise.get("virialRmsePerAtom")
    differences = [f"{number(noise['forceRmse'])} eV/Å in force components"]
    differences += [f"{number(energy)} eV/atom in energy, a constant shift left out"] if energy is not None else []
    differences += [f"{number(virial)} eV/atom in virial"] if virial is not None else []
    return _listed(differences)


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


def best_model(data: ReportData) -> str:
    """Parity of the best model."""
    comparison = data.comparison
    parts = [
        figure(
            "parity-energy",
            plots.parity(comparison.energy, "penergy", "energy per atom", "eV"),
            f"Energy per atom in eV, less what the composition accounts for; {_points(comparison.energy, 'frames')}.",
        ),
        figure(
            "parity-forces",
            plots.parity(comparison.forces, "pforces", "force component", "eV/Å"),
            f"Force components in eV/Å; {_points(comparison.forces, 'components')}.",
        ),
    ]
    note = ""
    if comparison.virial is None:
        note = paragraph("No hold-out frame has a virial, so there is no parity plot of virials.", quiet=True)
    else:
        caption = f"Virial components per atom in eV; {_points(comparison.virial, 'components')}."
        svg = plots.parity(comparison.virial, "pvirial", "virial per atom", "eV")
        parts.append(figure("parity-virial", svg, caption))
    return section("parity", f"Model against labels: {best_name(data)}", figures(*parts), note)


def where_it_errs(data: ReportData) -> str:
    """Errors by size of force, element and stratum."""
    baseline = data.history.baselines.get("pretrained")
    strata, elements = len(data.best["strata"]), len(data.best["elements"])
    cut = f" The {plots.MAX_ROWS} worst of {strata} are drawn." if strata > plots.MAX_ROWS else ""
    cut_elements = f" The {plots.MAX_ROWS} worst of {elements} are drawn." if elements > plots.MAX_ROWS else ""
    parts = [
        figure(
            "by-stratum",
            plots.error_by_group(data.best, baseline, "strata", "strata", "stratum"),
            "Force RMSE in eV/Å of each system, temperature and pressure, the worst first, with 95 % intervals of the "
            f"best model.{cut}",
        ),
        figure(
            "by-element",
            plots.error_by_group(data.best, baseline, "elements", "elements", "element"),
            f"Force RMSE in eV/Å of the atoms of each element, the worst first.{cut_elements}",
        ),
        figure(
            "by-force",
            plots.force_error_by_force(data.comparison),
            "Force RMSE in eV/Å against the size of the labelled force in eV/Å; each bin holds as many atoms.",
        ),
        figure(
            "histogram",
            plots.force_error_histogram(data.comparison),
            "Errors of force components in eV/Å on a logarithmic count; the outermost bins hold what lies beyond them.",
        ),
    ]
    parts[1:1] = _by_part_of_stratum(data, baseline)
    return section("errors", f"Where it errs: {best_name(data)}", figures(*parts))


def _by_part_of_stratum(data: ReportData, baseline: dict[str, Any] | None) -> list[str]:
    """Draw errors by system, temperature and pressure, where there are several."""
    drawn = []
    systems = len(data.best.get("systems", {}))
    if systems > 1:
        cut = f" The {plots.MAX_ROWS} worst of {systems} are drawn." if systems > plots.MAX_ROWS else ""
        caption = f"Force RMSE in eV/Å of each system, at all temperatures and pressures, the worst first.{cut}"
        svg = plots.error_by_group(data.best, baseline, "systems", "systems", "system")
        drawn.append(figure("by-system", svg, caption))
    for group, name, unit, others in (
        ("temperatures", "temperature", "K", "pressures"),
        ("pressures", "pressure", "bar", "temperatures"),
    ):
        if len(data.best.get(group, {})) > 1:
            svg = plots.error_by_condition(data.best, baseline, group, name, unit)
            caption = f"Force RMSE in eV/Å against the {name} of the MD in {unit}, over all systems and {others}."
            drawn.append(figure(f"by-{name}", svg, caption))
    return drawn


def origin(data: ReportData) -> str:
    """Digests, versions and settings."""
    given = data.provenance
    facts: list[list[Cell | str]] = [["stage digest", given.digest], ["seed", str(given.seed)]]
    facts += [[f"input {name}", digest] for name, digest in given.stages.items()]
    facts += [[name, version] for name, version in given.packages.items()]
    rows: list[list[Cell | str]] = [
        [file.stage if file.index is None else f"{file.stage} {file.index}", file.name, file.sha256]
        for file in given.inputs
    ]
    more = len(rows) - MAX_INPUT_ROWS
    note = paragraph(f"{more} more are in report.json.", quiet=True) if more > 0 else ""
    return section(
        "origin",
        "Where this comes from",
        table(["what", "value"], facts, left=True),
        details("Settings of the training", preformatted(json.dumps(given.settings, indent=1, ensure_ascii=False))),
        details("Input files", table(["stage", "file", "sha256"], rows[:MAX_INPUT_ROWS], left=True), note),
    )


def _points(parity: Any, what: str) -> str:
    drawn = len(parity.label)
    return f"{drawn} {what}" if drawn == parity.total else f"{drawn} of {parity.total} {what}, chosen at random"
