"""Reading a learning curve while it grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CurvePoint:
    """One line of a learning curve."""

    step: int
    loss: float
    """Of the training batches; its unit is the program's."""
    force_rmse: float | None
    """On the training batches, in eV/Å; None if it is not told."""

    @property
    def diverged(self) -> bool:
        """Whether the loss is not a number."""
        return not math.isfinite(self.loss)


def last_row(path: Path, delimiter: str | None = None) -> dict[str, str] | None:
    """Return the last complete line of a table with a header, column → text; None if there is none yet.

    Parameters
    ----------
    path
        The table; lines that begin with # are comments, but the first one that names a step is the header.
    delimiter
        Between columns; None for white space.
    """
    if not path.exists():
        return None
    text = path.read_text(errors="replace")
    lines = [line for line in text[: text.rfind("\n") + 1].splitlines() if line.strip()]
    header = next((line for line in lines if "step" in line or "epoch" in line), None)
    rows = [line for line in lines if line is not header and not line.startswith("#")]
    if header is None or not rows:
        return None
    names = header.lstrip("# ").split(delimiter)
    fields = rows[-1].split(delimiter)
    return dict(zip(names, fields, strict=True)) if len(fields) == len(names) else None
