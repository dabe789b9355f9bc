"""The sections of the page, from the verdict to the small print."""

from __future__ import annotations

import json
from typing import Any

from pfd_operator.contract.learning_curve import MIN_SPAN
from pfd_operator.contract.outcome import FEWEST_TRAJECTORIES_OF_INTERVAL, ErrorMetrics
from pfd_worker.report import plots
from pfd_worker.report.data import LearningCurve, ReportData
from pfd_worker.report.history import IterationRecord
from pfd_worker.report.markup import Cell, details, figure, figures, paragraph, preformatted, section, table

MAX_INPUT_ROWS = 200
_BASELINE_NAMES = {"pretrained": "pre-trained", "shifted": "pre-trained, energy shifted"}
_TRAINED_NAMES = {"FineTuneJob": "fine-tuned", "DistillJob": "student"}
_ERROR_COLUMNS = (Cell("force RMSE", "eV/Å"), Cell("energy RMSE", "eV/atom"), Cell("virial RMSE", "eV/atom"))
_LABELS_COLUMN = Cell("labels", "trained on")
_EXPLORATION_COLUMNS = (Cell("MD frames new", "to the labels before"), Cell("MD exploded", "of all trajectories"))
_EXPLORATION_NOTE = (
    "An MD frame counts as new if it is farther from every training frame than 90 % of the training frames are from "
    "the nearest one of another trajectory (measured as spec.selection.novelty says; frames chosen for being far or "
    "extreme do not count). If MD and training frames had the same distribution, about 10 % of the MD frames would be "
    "new."
)
_EXPECTED_COLUMNS = (Cell("expected of MD", "force RMSE below, eV/Å"),)
_EXPECTED_NOTE = (
    "Expected of MD: the force error that the exploring model was expected to stay below. It was computed before any "
    "frame was labelled, from the frame's novelty, times what 90 % of the evenly drawn frames of the iteration before "
    "had stayed below. That model and its MD were others, so that it is an estimate: beside it, for how many of this "
    "iteration's evenly drawn frames it held. For half of the candidates it is at most this value (below it: for a "
    "tenth – for all)."
)


def headline(data: ReportData) -> str:
    """Say in one line how good the best model is."""
    error = f"force RMSE {number(data.best['forceRmse'])} eV/Å on {_frames(data.best)}"
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
        table(["model", *_ERROR_COLUMNS, _LABELS_COLUMN], rows, best),
        paragraph(
            f"Root-mean-square errors on {_frames(data.best)} that no training saw, with the 95 % bootstrap interval "
            f"of the force error over trajectories; fewer than {FEWEST_TRAJECTORIES_OF_INTERVAL} of them give none."
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
    energy, virial = noise.get("energyRmsePerAtom"), noise.get("virialRmsePerAtom")
    differences = [f"{number(noise['forceRmse'])} eV/Å in force components"]
    differences += [f"{number(energy)} eV/atom in energy, a constant shift left out"] if energy is not None else []
    differences += [f"{number(virial)} eV/atom in virial"] if virial is not None else []
    too_few = " That of the energy is not known: there are too few frames to tell it from the shifts."
    unknown = "" if energy is not None else too_few
    return paragraph(
        f"Label noise: on {_frames(noise)} the labels differ from those of tighter settings (spec.labeling.noiseCheck) "
        f"by {_listed(differences)}. Errors below that say nothing of the accuracy.{unknown}",
        quiet=True,
    )


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


def progress(data: ReportData) -> str:
    """What each iteration brought, and what more labels would."""
    parts = [
        figure(
            "errors",
            plots.errors_by_iteration(data.history),
            "Force RMSE in eV/Å by iteration, with 95 % intervals: on the hold-out after training, and on newly "
            "labelled frames as the model that explored them predicted them before it was trained on them.",
        )
    ]
    curve = data.learning_curve
    if curve is None:
        text = (
            "A learning curve needs iterations with three different numbers of labels, the largest "
            f"{MIN_SPAN:g} times the smallest."
        )
        return section("progress", "Progress", figures(*parts), paragraph(text, quiet=True), _iterations(data))
    parts.append(figure("learning", plots.learning_curve(data.history, curve), _curve_caption(curve)))
    return section("progress", "Progress", figures(*parts), _iterations(data))


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
    if len(data.best.get("temperatures", {})) > 1:
        drawn = plots.error_by_temperature(data.best, baseline)
        caption = "Force RMSE in eV/Å against the temperature of the MD in K, over all systems and pressures."
        parts.insert(1, figure("by-temperature", drawn, caption))
    return section("errors", f"Where it errs: {best_name(data)}", figures(*parts))


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


def number(value: float | None) -> str:
    """Return three significant digits, a dash for nothing."""
    if value is None:
        return "–"
    text = f"{value:#.3g}"
    return text if "e" in text else text.rstrip(".")


def best_name(data: ReportData) -> str:
    """Return whose model the figures are of."""
    if data.best_iteration is None:
        return "the shifted pre-trained model"
    return f"the model of iteration {data.best_iteration}"


def error_cells(errors: dict[str, Any]) -> list[Cell | str]:
    """Return force error with interval, if there is one, energy error and virial error."""
    interval = (
        f"{number(errors['forceRmseLow'])} – {number(errors['forceRmseHigh'])}" if "forceRmseLow" in errors else ""
    )
    return [
        Cell(number(errors["forceRmse"]), interval),
        number(errors["energyRmsePerAtom"]),
        number(errors.get("virialRmsePerAtom")),
    ]


def _iterations(data: ReportData) -> str:
    records = data.history.iterations
    header: list[Cell | str] = ["iteration", _LABELS_COLUMN, *_ERROR_COLUMNS, Cell("on new frames", "force RMSE, eV/Å")]
    rows = [_iteration_row(record) for record in records]
    best = next((n for n, record in enumerate(records) if record.iteration == data.best_iteration), None)
    notes = []
    for known, columns, cells, note in (
        ([record.force_error_bound for record in records], _EXPECTED_COLUMNS, _expected, _EXPECTED_NOTE),
        ([record.exploration.to_json() for record in records], _EXPLORATION_COLUMNS, _exploration, _EXPLORATION_NOTE),
    ):
        if any(known):
            header += columns
            rows = [[*row, *cells(record)] for row, record in zip(rows, records, strict=True)]
            notes.append(paragraph(note, quiet=True))
    return table(header, rows, best) + "".join(notes)


def _iteration_row(record: IterationRecord) -> list[Cell | str]:
    new = record.errors.get("prequential")
    return [
        str(record.iteration),
        str(record.training_labels),
        *error_cells(record.errors["holdout"]),
        "–" if new is None else error_cells(new)[0],
    ]


def _exploration(record: IterationRecord) -> list[Cell | str]:
    """Return the part of the MD's frames that was new to the labels so far, and of its trajectories that exploded."""
    known = record.exploration
    return [_part(known.novel, known.candidates), _part(known.exploded, known.trajectories)]


def _part(part: int | None, whole: int | None) -> Cell | str:
    if part is None or not whole:
        return "–"
    return Cell(f"{100 * part / whole:.0f} %", f"{part} of {whole}")


def _expected(record: IterationRecord) -> list[Cell | str]:
    bound = record.force_error_bound
    if bound is None:
        return ["–"]
    held = f"; held for {bound['held']:.0f} of {bound['frames']:.0f}" if bound.get("frames") else ""
    return [Cell(number(bound["p50"]), f"{number(bound['p10'])} – {number(bound['p100'])}{held}")]


def _curve_caption(curve: LearningCurve) -> str:
    low, high = curve.law.exponent_interval
    text = (
        f"Hold-out force RMSE in eV/Å against labels, with the power law fitted to {curve.law.points} iterations: "
        f"{number(curve.law.reference_error)} eV/Å at {curve.law.reference_labels:.0f} labels, falling as labels to "
        f"the power of −b with b = {curve.law.exponent:.2f} (95 % interval {low:.2f} to {high:.2f})."
    )
    if curve.halving is None:
        return f"{text} By this fit, more labels of this kind will not halve the error."
    upper = "no upper bound" if curve.halving.high is None else f"{curve.halving.high:.0f}"
    return (
        f"{text} By extrapolation {number(curve.halving.target)} eV/Å, half of where the fit is now, takes about "
        f"{curve.halving.labels:.0f} labels (95 % interval {curve.halving.low:.0f} to {upper})."
    )


def _frames(errors: dict[str, Any]) -> str:
    return f"{errors['frames']} hold-out frame{'' if errors['frames'] == 1 else 's'}"


def _points(parity: Any, what: str) -> str:
    drawn = len(parity.label)
    return f"{drawn} {what}" if drawn == parity.total else f"{drawn} of {parity.total} {what}, chosen at random"
