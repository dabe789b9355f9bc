"""Energy shifts: reference codes place the zero of energy elsewhere, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pfd_worker.evaluation.errors import FrameError

Floats = NDArray[np.float64]


def fit_energy_shift(errors: Sequence[FrameError]) -> dict[str, float]:
    """Fit the energy per atom of each element that takes the predictions to the labels, by least squares.

    All frames count alike, whatever their size, as errors per atom do. Compositions that never vary leave the split
    between elements open; the smallest shifts are taken then.

    Returns
    -------
    dict
        Element → shift to add to the prediction, in eV; empty if there are no frames with a known energy.
    """
    known = [error for error in errors if error.energy_ev is not None]
    if not known:
        return {}
    missing = np.array([-error.energy_ev / error.n_atoms for error in known if error.energy_ev is not None])
    return fit_energies_of_elements([error.symbols for error in known], missing)


def fit_energies_of_elements(symbols: Sequence[Sequence[str]], energies_per_atom: Floats) -> dict[str, float]:
    """Fit an energy for each element to energies of frames, as `fit_energy_shift` does to their errors.

    Parameters
    ----------
    symbols
        Of the atoms of each frame.
    energies_per_atom
        (n_frames,), in eV.

    Returns
    -------
    dict
        Element → energy, in eV.
    """
    elements, fractions = _compositions(symbols)
    return dict(zip(elements, map(float, _fitted(fractions, energies_per_atom)), strict=True))


def energies_of_elements(symbols: Sequence[Sequence[str]], energies_per_atom: Floats) -> Floats:
    """Return what an energy for each element, fitted to the frames, gives each of them.

    Parameters
    ----------
    symbols
        Of the atoms of each frame.
    energies_per_atom
        (n_frames,), in eV.

    Returns
    -------
    ndarray
        (n_frames,), per atom, in eV.
    """
    fractions = _compositions(symbols)[1]
    found: Floats = fractions @ _fitted(fractions, energies_per_atom)
    return found


def independent_shifts(errors: Sequence[FrameError]) -> int:
    """Return how many shifts these frames determine: one for each independent composition."""
    return int(np.linalg.matrix_rank(_compositions([error.symbols for error in errors])[1])) if errors else 0


def determined(known: Sequence[FrameError], asked: Sequence[FrameError]) -> NDArray[np.bool_]:
    """Return of which frames the shift follows from what others give: they are mixtures of those compositions.

    Parameters
    ----------
    known
        Frames that shifts are fitted to.
    asked
        Other frames, (n,).
    """
    fractions = _compositions([error.symbols for error in (*known, *asked)])[1]
    _, sizes, axes = np.linalg.svd(fractions[: len(known)], full_matrices=False)
    axes = axes[sizes > 1e-8 * sizes.max(initial=0.0)]
    others = fractions[len(known) :]
    found: NDArray[np.bool_] = np.linalg.norm(others - others @ axes.T @ axes, axis=1) < 1e-6
    return found


def _compositions(symbols: Sequence[Sequence[str]]) -> tuple[list[str], Floats]:
    """Return the elements, and the fraction of each in every frame, (n_frames, n_elements)."""
    elements = sorted({symbol for row in symbols for symbol in row})
    return elements, np.array([[row.count(element) / len(row) for element in elements] for row in symbols])


def _fitted(fractions: Floats, energies_per_atom: Floats) -> Floats:
    """Return the energy of each element, in eV: the smallest ones, where compositions leave them open."""
    return np.asarray(np.linalg.lstsq(fractions, energies_per_atom, rcond=None)[0], dtype=np.float64)


def apply_energy_shift(errors: Sequence[FrameError], shifts_ev: dict[str, float]) -> list[FrameError]:
    """Return the errors the model would have with its energy shifted; forces and virials do not change."""
    return [
        e if e.energy_ev is None else replace(e, energy_ev=e.energy_ev + sum(shifts_ev.get(x, 0.0) for x in e.symbols))
        for e in errors
    ]
