"""Energy shifts: reference codes place the zero of energy elsewhere, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pfd_worker.evaluation.errors import FrameError


def fit_energy_shift(errors: Sequence[FrameError]) -> dict[str, float]:
    """Fit the energy per atom of each element that takes the predictions to the labels, by least squares.

    All frames count alike, whatever their size, as errors per atom do. Compositions that never vary leave the split
    between elements open; the smallest shifts are taken then.

    Returns
    -------
    dict
        Element → shift to add to the prediction, in eV; empty if there are no frames with a known energy.
    """
    missing = np.array([-e.energy_ev / e.n_atoms for e in errors if e.energy_ev is not None])
    if not len(missing):
        return {}
    elements, fractions = _compositions([e for e in errors if e.energy_ev is not None])
    shifts = np.linalg.lstsq(fractions, missing, rcond=None)[0]
    return dict(zip(elements, map(float, shifts), strict=True))


def independent_shifts(errors: Sequence[FrameError]) -> int:
    """Return how many shifts these frames determine: one for each independent composition."""
    return int(np.linalg.matrix_rank(_compositions(errors)[1])) if errors else 0


def determined(known: Sequence[FrameError], asked: Sequence[FrameError]) -> NDArray[np.bool_]:
    """Return of which frames the shift follows from what others give: they are mixtures of those compositions.

    Parameters
    ----------
    known
        Frames that shifts are fitted to.
    asked
        Other frames, (n,).
    """
    fractions = _compositions([*known, *asked])[1]
    _, sizes, axes = np.linalg.svd(fractions[: len(known)], full_matrices=False)
    axes = axes[sizes > 1e-8 * sizes.max(initial=0.0)]
    others = fractions[len(known) :]
    found: NDArray[np.bool_] = np.linalg.norm(others - others @ axes.T @ axes, axis=1) < 1e-6
    return found


def _compositions(errors: Sequence[FrameError]) -> tuple[list[str], NDArray[np.float64]]:
    """Return the elements, and the fraction of each in every frame, (n_frames, n_elements)."""
    elements = sorted({symbol for error in errors for symbol in error.symbols})
    return elements, np.array([[e.symbols.count(element) / e.n_atoms for element in elements] for e in errors])


def apply_energy_shift(errors: Sequence[FrameError], shifts_ev: dict[str, float]) -> list[FrameError]:
    """Return the errors the model would have with its energy shifted; forces and virials do not change."""
    return [
        e if e.energy_ev is None else replace(e, energy_ev=e.energy_ev + sum(shifts_ev.get(x, 0.0) for x in e.symbols))
        for e in errors
    ]
