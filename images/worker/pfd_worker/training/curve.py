"""Reading deepmd-kit's learning curve while it grows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CurvePoint:
    """One line of lcurve.out."""

    step: int
    values: dict[str, float]
    """Column → value, e.g. rmse_f_trn (eV/Å)."""

    @property
    def diverged(self) -> bool:
        """Whether the loss is not a number; columns without reference data are NaN by themselves."""
        loss = self.values.get("rmse_trn", 0.0)
        return not math.isfinite(loss)


def last_point(path: Path) -> CurvePoint | None:
    """Return the last complete line, None if there is none yet."""
    if not path.exists():
        return None
    text = path.read_text(errors="replace")
    lines = text[: text.rfind("\n") + 1].splitlines()
    header = next((line for line in lines if line.startswith("#") and "step" in line), None)
    rows = [line for line in lines if line.strip() and not line.startswith("#")]
    if header is None or not rows:
        return None
    names = header.lstrip("# ").split()
    fields = rows[-1].split()
    if len(fields) != len(names):
        return None
    numbers = dict(zip(names, map(float, fields), strict=True))
    return CurvePoint(int(numbers.pop("step")), numbers)
