"""Arrays as JSON, to the digits that a reader can use."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIGITS = 6


def rounded(values: NDArray[Any]) -> list[Any]:
    """Return an array as nested lists."""
    if np.issubdtype(values.dtype, np.floating):
        return [rounded(row) if values.ndim > 1 else float(f"{row:.{_DIGITS}g}") for row in values]
    return list(values.tolist())
