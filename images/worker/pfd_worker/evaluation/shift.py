"""Energy shifts: reference codes place the zero of energy elsewhere, element by element."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pfd_worker.evaluation.errors import FrameError

Floats = NDArray[np.float64]
MODEL_ERROR_EV = 0.1
"""Of a pre-trained model, per atom, for a composition: frames of the same one share it, however many they are."""
SPREAD_OF_ZEROS_EV = 1e5
"""Between elements: all electrons of a heavy atom have as much. What labels leave open, they leave open by so much."""
LARGEST_STANDARD_ERROR_EV = 0.25
"""Per atom, of a zero that is called known: compositions may be extrapolated a little, but not a vacancy to a metal."""


def fit_energy_shift(errors: Sequence[FrameError]) -> dict[str, float]:
    """Fit the energy per atom of each element that takes the predictions to the labels, by least squares.

    All frames count alike, whatever their size, as errors per atom do. Compositions that never vary leave the split
    between elements open; shifts as near to one another as can be are taken then.

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


def determined(known: Sequence[Sequence[str]], asked: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Return of which frames the shift follows from what others give.

    Its standard error must be small, with `MODEL_ERROR_EV` for each composition that is known. A mixture of known ones
    alone is not enough: of a salt and the same with one vacancy the shift of its metal follows, times the whole cell.

    Parameters
    ----------
    known
        Symbols of the frames that shifts are fitted to.
    asked
        Symbols of other frames, (n,).
    """
    if not known:
        return np.zeros(len(asked), dtype=bool)
    fractions = _compositions([*known, *asked])[1]
    spread = fractions[len(known) :] @ _solver(np.unique(fractions[: len(known)], axis=0))
    found: NDArray[np.bool_] = MODEL_ERROR_EV * np.linalg.norm(spread, axis=1) <= LARGEST_STANDARD_ERROR_EV
    return found


def _compositions(symbols: Sequence[Sequence[str]]) -> tuple[list[str], Floats]:
    """Return the elements, and the fraction of each in every frame, (n_frames, n_elements)."""
    elements = sorted({symbol for row in symbols for symbol in row})
    return elements, np.array([[row.count(element) / len(row) for element in elements] for row in symbols])


def _fitted(fractions: Floats, energies_per_atom: Floats) -> Floats:
    """Return the energy of each element, in eV."""
    found: Floats = _solver(fractions)[:, : len(energies_per_atom)] @ energies_per_atom
    return found


def _solver(fractions: Floats) -> Floats:
    """Return what gives the energies of elements, times energies of frames and then zeros: (n_elements, n_frames + …).

    It is least squares with a prior, that the elements' zeros scatter about a common one by `SPREAD_OF_ZEROS_EV`: too
    wide to touch what the frames determine. Times its transpose it is the covariance, in units of their variance.
    """
    elements = fractions.shape[1]
    prior = MODEL_ERROR_EV / SPREAD_OF_ZEROS_EV * (np.eye(elements) - 1 / elements)
    return np.asarray(np.linalg.pinv(np.vstack([fractions, prior])), dtype=np.float64)


def only_determined(errors: Sequence[FrameError], known: Sequence[FrameError]) -> list[FrameError]:
    """Return the errors without energies whose zero does not follow from the frames that shifts were fitted to."""
    follows = determined([error.symbols for error in known], [error.symbols for error in errors])
    return [e if told else replace(e, energy_ev=None) for e, told in zip(errors, follows, strict=True)]


def apply_energy_shift(errors: Sequence[FrameError], shifts_ev: dict[str, float]) -> list[FrameError]:
    """Return the errors the model would have with its energy shifted; forces and virials do not change."""
    return [
        e if e.energy_ev is None else replace(e, energy_ev=e.energy_ev + sum(shifts_ev.get(x, 0.0) for x in e.symbols))
        for e in errors
    ]


def without_shift(errors: Sequence[FrameError], reference: Sequence[FrameError]) -> list[FrameError]:
    """Return errors without the energy of each element that takes one model to the labels, whose zero is another.

    The shifts are fitted to the same few frames, which makes what remains of that model's errors smaller than it is: by
    (n − k)/n in the mean square, for n frames and k shifts. They are scaled up accordingly; with no more frames than
    shifts nothing remains, and energies are not known. By how much other predictions differ from that model's is no
    matter of the fit.

    Parameters
    ----------
    errors, reference
        For the same frames, those of that model being the reference.
    """
    known = [error for error in reference if error.energy_ev is not None]
    frames, shifts = len(known), independent_shifts(known)
    if frames <= shifts:
        return [replace(error, energy_ev=None) for error in errors]
    scale = math.sqrt(frames / (frames - shifts))
    shifted = apply_energy_shift(reference, fit_energy_shift(reference))
    return [
        replace(error, energy_ev=None)
        if error.energy_ev is None or its.energy_ev is None or left.energy_ev is None
        else replace(error, energy_ev=error.energy_ev - its.energy_ev + scale * left.energy_ev)
        for error, its, left in zip(errors, reference, shifted, strict=True)
    ]
