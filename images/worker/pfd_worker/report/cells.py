"""Numbers and names as every section of the page writes them."""

from __future__ import annotations

from typing import Any

from pfd_worker.report.data import ReportData
from pfd_worker.report.markup import Cell

ERROR_COLUMNS = (Cell("force RMSE", "eV/Å"), Cell("energy RMSE", "eV/atom"), Cell("virial RMSE", "eV/atom"))
LABELS_COLUMN = Cell("labels", "trained on")


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
        number(errors.get("energyRmsePerAtom")),
        number(errors.get("virialRmsePerAtom")),
    ]


def frames_in_words(errors: dict[str, Any]) -> str:
    """Return how many frames of the hold-out errors are of."""
    return f"{errors['frames']} hold-out frame{'' if errors['frames'] == 1 else 's'}"
