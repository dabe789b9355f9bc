"""The section of the page on what each iteration brought."""

from __future__ import annotations

from pfd_operator.contract.learning_curve import MIN_SPAN
from pfd_worker.report import plots
from pfd_worker.report.cells import ERROR_COLUMNS, LABELS_COLUMN, error_cells, number
from pfd_worker.report.data import LearningCurve, ReportData
from pfd_worker.report.history import IterationRecord
from pfd_worker.report.markup import Cell, figure, figures, paragraph, section, table

_OTHER_SETS = (Cell("on trained frames", "force RMSE, eV/Å"), Cell("on new frames", "force RMSE, eV/Å"))
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
            "A learning curve needs iterations with three different numbers of labels beside given ones, the largest "
            f"{MIN_SPAN:g} times the smallest."
        )
        return section("progress", "Progress", figures(*parts), paragraph(text, quiet=True), _iterations(data))
    parts.append(figure("learning", plots.learning_curve(data.history, curve), _curve_caption(curve)))
    return section("progress", "Progress", figures(*parts), _iterations(data))


def _iterations(data: ReportData) -> str:
    records = data.history.iterations
    header: list[Cell | str] = ["iteration", LABELS_COLUMN, *ERROR_COLUMNS, *_OTHER_SETS]
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
    others = (record.errors.get(name) for name in ("training", "prequential"))
    return [
        str(record.iteration),
        str(record.training_labels),
        *error_cells(record.errors["holdout"]),
        *("–" if errors is None else error_cells(errors)[0] for errors in others),
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
    beside = f" beside the {curve.given} given ones" if curve.given else ""
    text = (
        f"Hold-out force RMSE in eV/Å against labels{beside}, with the power law fitted to {curve.law.points} "
        f"iterations: {number(curve.law.reference_error)} eV/Å at {curve.law.reference_labels:.0f} labels, falling as "
        f"labels to the power of −b with b = {curve.law.exponent:.2f} (95 % interval {low:.2f} to {high:.2f})."
    )
    if curve.halving is None:
        return f"{text} By this fit, more labels of this kind will not halve the error."
    upper = "no upper bound" if curve.halving.high is None else f"{curve.halving.high:.0f}"
    return (
        f"{text} By extrapolation {number(curve.halving.target)} eV/Å, half of where the fit is now, takes about "
        f"{curve.halving.labels:.0f} labels (95 % interval {curve.halving.low:.0f} to {upper})."
    )
