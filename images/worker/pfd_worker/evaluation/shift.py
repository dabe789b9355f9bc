"""Energy shifts: reference codes place the zero of energy elsewhere, element by element."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pfd_worker.evaluation.errors import FrameError


def fit_energy_shift(errors: Sequence[FrameError]) -> dict[str, float]:
    """Fit the energy per atom of each element that takes the predictions to the labels, by least squares.

    All frames count alike, whatever their size, as errors per atom do. Compositions that never vary leave the split
    between elements open; the smallest shifts are taken then.

    Returns
    -------
    dict
        Element → shift to add to the prediction, in eV; empty if there are no frames.
    """
    if not errors:
        return {}
    elements = sorted({symbol for error in errors for symbol in error.symbols})
    fractions = np.array([[e.symbols.count(element) / e.n_atoms for element in elements] for e in errors])
    missing = np.array([-e.energy_ev / e.n_atoms for e in errors])
    shifts = np.linalg.lstsq(fractions, missing, rcond=None)[0]
    return dict(zip(elements, map(float, shifts), strict=True))


def apply_energy_shift(errors: Sequence[FrameError], shifts_ev: dict[str, float]) -> list[FrameError]:
    """Return the errors the model would have with its energy shifted; forces and virials do not change."""
    return [
        FrameError(
            stratum=e.stratum,
            symbols=e.symbols,
            energy_ev=e.energy_ev + sum(shifts_ev.get(symbol, 0.0) for symbol in e.symbols),
            forces=e.forces,
            virial=e.virial,
        )
        for e in errors
    ]
