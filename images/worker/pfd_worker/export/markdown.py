"""The model card in Markdown: the page someone reads before using the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pfd_operator.contract.outcome import ErrorMetrics
from pfd_worker.acceptance.speed import TIMED_STEPS, has_few_steps, largest_cell
from pfd_worker.acceptance.timed_run import Role
from pfd_worker.acceptance.verdict import accepted
from pfd_worker.export.card import MdRange, ModelCard, Range
from pfd_worker.store.manifests import StoredFile

_UNMEASURED = "–"


def card_markdown(card: ModelCard, files: Mapping[str, StoredFile], purposes: Mapping[str, str]) -> str:
    """Return card.md.

    Parameters
    ----------
    card
        What is known.
    files
        Name → digest and size of the other files in the folder.
    purposes
        Name → what the file is for.
    """
    sections = (_head, _verdict, _range, _training, _errors, _speed, _dynamics)
    lines = [line for section in sections for line in (*section(card), "")]
    return "\n".join([*lines, *_use(files), "", *_files(files, purposes), "", *_versions(card)]).rstrip() + "\n"


def _head(card: ModelCard) -> Iterator[str]:
    yield f"# {card.name}"
    yield ""
    yield f"A potential for **{', '.join(card.type_map)}**, distilled from {card.training.teacher} on {card.created}."
    yield f"Architecture: {card.architecture}."


def _verdict(card: ModelCard) -> Iterator[str]:
    failed = [check for check in card.checks if not check.met]
    if accepted(card.checks):
        yield f"**Accepted:** all {len(card.checks)} limits hold."
    else:
        yield f"**Refused:** {len(failed)} of {len(card.checks)} limits do not hold. Use it only if you know why."
    yield ""
    for check in (*failed, *(check for check in card.checks if check.met)):
        yield f"- {'✓' if check.met else '✗'} {check.message}"


def _range(card: ModelCard) -> Iterator[str]:
    yield "## Where it may be used"
    yield ""
    yield f"- elements: {', '.join(card.type_map)}"
    measured = card.training.measured_kelvin
    means = "" if measured is None else f"; means of MD at each condition: {measured.low:.0f} to {measured.high:.0f} K"
    yield f"- temperature: {_range_text(card.training.temperatures_kelvin, 'K', 'not recorded')}{means}"
    yield f"- pressure: {_range_text(card.training.pressures_bar, 'bar', 'none, MD kept its cell')}"
    systems = [_system_text(name, ran) for name, ran in sorted(card.training.systems.items())]
    yield f"- systems: {', '.join(systems) or 'none named'}"
    yield ""
    yield "Outside this range the model was neither trained nor tested, and it gives no warning there."


def _system_text(name: str, ran: MdRange) -> str:
    known = ((ran.temperatures_kelvin, "K"), (ran.pressures_bar, "bar"))
    parts = [_range_text(values, unit, "") for values, unit in known if values is not None]
    return f"{name} ({', '.join(parts)})" if parts else name


def _range_text(values: Range | None, unit: str, nothing: str) -> str:
    if values is None:
        return nothing
    same = values.low == values.high
    return f"{values.low:g} {unit}" if same else f"{values.low:g} to {values.high:g} {unit}"


def _training(card: ModelCard) -> Iterator[str]:
    training = card.training
    digest = f" (sha256 `{training.teacher_sha256}`)" if training.teacher_sha256 else ""
    yield "## What it was trained on"
    yield ""
    rounds = f"{training.rounds} round{'' if training.rounds == 1 else 's'}"
    yield f"{sum(training.frames.values())} frames with energies, forces and virials of the teacher, {rounds}."
    yield f"Teacher: {training.teacher}{digest}. Its reference: {training.reference or 'not recorded'}."
    yield f"Seed {training.seed}."
    yield ""
    yield from _table(("system", "frames"), [(name, str(count)) for name, count in sorted(training.frames.items())])


def _errors(card: ModelCard) -> Iterator[str]:
    errors = card.results.errors
    rows = [
        ("student against teacher", errors.holdout),
        ("student against DFT", errors.dft),
        ("teacher against DFT", errors.teacher_dft),
    ]
    yield "## Errors on frames never trained on"
    yield ""
    header = ("RMSE", "frames", "force, eV/Å (95 %)", "energy, meV/atom", "virial, meV/atom", "worst part, eV/Å")
    yield from _table(header, [_error_row(*row) for row in rows])
    if files := card.results.dft_files:
        named = ", ".join(f"{address} (sha256 `{digest}`)" for address, digest in files.items())
        yield ""
        yield f"DFT frames: {named}. Their energies are compared without a constant for each element, which takes the "
        yield "teacher's zero of energy to theirs."
    teacher = errors.holdout
    if teacher is not None and teacher.force_share is not None:
        rough = ". **MD with it is rough**, whatever limits hold" if teacher.rough else ""
        yield ""
        yield f"The student's force error is {100 * teacher.force_share:.0f} % of the RMS force{rough}."


def _error_row(name: str, errors: ErrorMetrics | None) -> tuple[str, ...]:
    if errors is None:
        return (name, "not measured", *[_UNMEASURED] * 4)
    energy, virial = errors.energy_rmse_per_atom, errors.virial_rmse_per_atom
    low, high, worst = errors.force_rmse_low, errors.force_rmse_high, _UNMEASURED
    interval = "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
    if errors.worst_stratum_force_rmse is not None:
        worst = f"{errors.worst_stratum_force_rmse:.4f} ({errors.worst_stratum})"
    return (
        name,
        str(errors.frames),
        f"{errors.force_rmse:.4f}{interval}",
        _UNMEASURED if energy is None else f"{1000 * energy:.2f}",
        _UNMEASURED if virial is None else f"{1000 * virial:.2f}",
        worst,
    )


def _speed(card: ModelCard) -> Iterator[str]:
    yield "## Speed"
    yield ""
    results = card.results
    if not results.speed:
        yield "Not measured."
        return
    machine = f" on {card.machine}" if card.machine else ""
    system = f" of {results.speed_system}" if results.speed_system else ""
    yield f"Median of {TIMED_STEPS} MD steps{system} with energy, forces and stress, both models in one run{machine}."
    if any(map(has_few_steps, results.speed)):
        yield "**Of fewer steps where it is said below**: a model has a minute at each size."
    yield ""
    factors = results.speed_up
    rows, notes = [], []
    for asked in sorted({record.asked_atoms for record in results.speed}):
        here = {record.model: record for record in results.speed if record.asked_atoms == asked}
        cells = [
            _UNMEASURED if r is None or r.median_ms_per_step is None else f"{r.median_ms_per_step:.4g}"
            for r in (here.get(Role.STUDENT), here.get(Role.TEACHER))
        ]
        atoms = next(iter(here.values())).atoms
        rows.append((str(atoms), *cells, f"{factors[asked]:.1f}×" if asked in factors else _UNMEASURED))
        notes += [f"- {r.model}, {atoms} atoms: {r.note}" for r in here.values() if r.note]
    yield from _table(("atoms", "student, ms/step", "teacher, ms/step", "speed-up"), rows)
    yield ""
    cells_run = ((name, largest_cell(results.speed, name)) for name in (Role.STUDENT, Role.TEACHER))
    yield f"Largest cell run: {', '.join(f'{n} {a} atoms' for n, a in cells_run if a is not None) or 'none'}."
    if notes:
        yield from ("", *notes)


def _dynamics(card: ModelCard) -> Iterator[str]:
    yield "## Molecular dynamics"
    yield ""
    results = card.results
    if not (results.stability or results.nve_drift or results.rdf_overlap):
        yield "Not measured."
    for name, run in ((name, run) for name, runs in sorted(results.stability.items()) for run in runs):
        density = ""
        if run.density_min is not None and run.density_max is not None:
            density = f", density {run.density_min:.3f} to {run.density_max:.3f} g/cm³"
        asked = f"{run.picoseconds:g} of {run.asked_picoseconds:g} ps"
        kelvin = "" if run.mean_temperature_kelvin is None else f", at {run.mean_temperature_kelvin:.0f} K in the mean"
        exploded = "" if run.exploded_at_step is None else f"exploded at step {run.exploded_at_step}: "
        end = "" if run.reason is None else f"; {exploded}{run.reason}"
        yield f"- {name}, {run.ensemble}, {run.words}: {asked}{kelvin}{density}{end}"
    for name, drift in sorted(results.nve_drift.items()):
        measured = f"not measured ({drift.reason})"
        if drift.drift is not None and drift.max_deviation is not None:
            measured = f"{drift.drift:+.3g} meV/atom/ps (within {drift.max_deviation:.3g} meV/atom of a straight line)"
        yield f"- {name}, drift of the total energy at constant energy over {drift.picoseconds:g} ps: {measured}"
    for name, pairs in sorted(results.rdf_overlap.items()):
        for pair, overlap in sorted(pairs.items()):
            yield f"- {name}, g(r) of {pair} overlaps with the teacher's by {overlap:.3f} (1: equal)"


def _use(files: Mapping[str, StoredFile]) -> Iterator[str]:
    yield "## How to run it"
    yield ""
    yield "```sh"
    if "in.lammps" in files:
        yield "lmp -in in.lammps          # LAMMPS with deepmd-kit's pair_style"
    yield "python run_ase.py          # ASE with deepmd-kit's calculator"
    yield "```"


def _files(files: Mapping[str, StoredFile], purposes: Mapping[str, str]) -> Iterator[str]:
    yield "## Files"
    yield ""
    rows = [(f"`{n}`", purposes.get(n, ""), f"{f.bytes}", f"`{f.sha256}`") for n, f in sorted(files.items())]
    yield from _table(("file", "what", "bytes", "sha256"), rows)


def _versions(card: ModelCard) -> Iterator[str]:
    if card.versions:
        yield "## Versions"
        yield ""
        yield ", ".join(f"{name} {version}" for name, version in sorted(card.versions.items()))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (header, ["---"] * len(header), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
