"""The section about labels, time and budget."""

from __future__ import annotations

from pfd_worker.report.costs import STAGES, StageTime
from pfd_worker.report.data import ReportData
from pfd_worker.report.history import IterationRecord
from pfd_worker.report.markup import Cell, paragraph, section, table


def spending(data: ReportData) -> str:
    """Labels and time of every iteration, and what of the budget is spent."""
    header: list[Cell | str] = ["iteration", Cell("labels", "computed"), Cell("a label", "mean"), *STAGES]
    text = (
        "Time of all pods of a stage together, from the start of their work to their results; attempts that left "
        "none are not in it. A label's time is the engine's. The newest training writes this page before it is "
        "over: its time stands in the next one."
    )
    rows = [_row(record) for record in data.history.iterations]
    return section(
        "spending", "Labels, time and budget", _budget(data), table(header, rows), paragraph(text, quiet=True)
    )


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60), (float("inf"), "h", 3600)):
        if seconds < limit:
            value = seconds / size
            return f"{value:.{0 if value >= 10 else 1}f}\u00a0{unit}"
    raise ValueError(f"{seconds} is no time")


def _budget(data: ReportData) -> str:
    labels, budget = data.spending.labels, data.spending.budget
    limits = {
        "labels": "–" if budget is None else str(budget.max_labels),
        "iterations": "–" if budget is None else str(budget.max_iterations),
        "GPU time": "no limit" if budget is None or budget.gpu_hours is None else f"{budget.gpu_hours:g} h",
    }
    others = f"{labels.reused} found in the store, {labels.failed} failed, {labels.wasted} cut off"
    used: dict[str, Cell | str] = {
        "labels": Cell(str(labels.paid), others),
        "iterations": str(data.history.last.iteration),
        "GPU time": "–" if budget is None else Cell(f"{budget.gpu_hours_used:.3g} h", "before this training"),
    }
    rows: list[list[Cell | str]] = [[name, used[name], limits[name]] for name in limits]
    return table(["budget", "used", "limit"], rows)


def _row(record: IterationRecord) -> list[Cell | str]:
    labels = record.cost.labels
    others = [f"{count} {word}" for count, word in ((labels.reused, "found"), (labels.failed, "failed")) if count]
    each = duration(labels.computing_seconds / labels.computed) if labels.computed else "–"
    times = [_time(record.cost.stages.get(name)) for name in STAGES]
    return [str(record.iteration), Cell(str(labels.computed), ", ".join(others)), each, *times]


def _time(time: StageTime | None) -> Cell | str:
    if time is None:
        return "–"
    return Cell(duration(time.seconds), f"{time.pods} pods" if time.pods > 1 else "")
