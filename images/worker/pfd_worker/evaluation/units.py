"""Labels in a wrong unit or of the wrong sign: told from the pre-trained model, before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.result import Reason
from pfd_worker.errors import user_error
from pfd_worker.evaluation.shift import energies_of_elements
from pfd_worker.evaluation.sources import COMPUTED
from pfd_worker.frames import virial_of
from pfd_worker.models.base import Prediction

LARGEST_FACTOR = 5.0
"""Labels that follow the model but are smaller by more have another unit: Rydberg for eV is 14, Hartree 27, and
Hartree/Bohr for eV/Å 51. Models and functionals differ by less than two."""
LARGEST_FORCE = 10.0
LARGEST_ENERGY = 1.0
"""Labels that are larger by so much may be right, and the model hardly trained. Beyond these too (RMS, in eV/Å, and
in eV per atom about the mean of the composition) they are not those of atoms below 3000 K: kcal/mol for eV is 23."""
LARGEST_VIRIAL = 5.0
"""Likewise, in eV per atom about the mean of the composition: GPa·Å³ for eV is 160."""
ZERO_VIRIAL = 1e-6
"""In eV per atom: what is nowhere larger was not computed. Programs print more digits, and cells at rest have more."""
LEAST_MODEL_VIRIAL = 0.01
"""RMS, in eV per atom: above it the model's are not those of atoms so far apart that there is nothing to compute."""
LEAST_CORRELATION = 0.8
"""Labels that follow it less well say nothing: the model does not know the material."""
FEWEST_VALUES = 8
"""Of energies and force components, and of frames with a virial."""

_WHAT_TO_DO = (
    "Nothing was trained on them. Check spec.labeling.engine, and start a job under another prefix: wrong labels stay "
    "in the store under this one."
)
_CORRECT_THE_FILE = "Nothing was trained on them. Correct the file, or leave it out."


def check_units(frames: Sequence[Atoms], predictions: Sequence[Prediction], source: str = COMPUTED) -> None:
    """Compare the scale of labels with that of a model: of forces, and of energies and virials relative to one another.

    Virials must have the model's sign, too, where it gets the forces right, and not be zeros where its are not.

    Parameters
    ----------
    frames
        Labelled.
    predictions
        Of the model that is given, in eV and eV/Å.
    source
        Where they come from, as `by_source` names it.

    Raises
    ------
    StageError
        LabelsFailed, or of given data DataInvalid, naming the quantity and the factor.
    """
    if not frames:
        return
    try:
        _compare(frames, predictions)
    except _OddLabels as odd:
        if source == COMPUTED:
            raise user_error(Reason.LABELS_FAILED, f"the labels' {odd} {_WHAT_TO_DO}") from odd
        raise user_error(Reason.DATA_INVALID, f"{source}: its {odd} {_CORRECT_THE_FILE}") from odd


class _OddLabels(ValueError):  # noqa: N818
    """What is odd about labels."""


def _compare(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> None:
    labels = [Prediction.of_label(atoms) for atoms in frames]
    forces = _forces(labels), _forces(predictions)
    _check("forces", "eV/Å", *forces, LARGEST_FORCE)
    energies = _relative_energies(frames, labels), _relative_energies(frames, predictions)
    _check("energies", "eV", *energies, LARGEST_ENERGY)
    _check_zeros_of_virials(frames, predictions)
    virials = _relative_virials(frames, predictions)
    _check("virials", "eV, and of a stress eV/Å³", *virials, LARGEST_VIRIAL)
    if _correlation(*forces) >= LEAST_CORRELATION:
        _check_sign(*virials)


def _forces(values: Sequence[Prediction]) -> NDArray[np.float64]:
    return np.concatenate([value.forces.ravel() for value in values])


def _relative_energies(frames: Sequence[Atoms], values: Sequence[Prediction]) -> NDArray[np.float64]:
    """Return energies per atom without what an energy for each element explains: the zero of a code is no unit."""
    energies = np.array([value.energy / len(atoms) for atoms, value in zip(frames, values, strict=True)])
    return energies - energies_of_elements([atoms.get_chemical_symbols() for atoms in frames], energies)


def _relative_virials(
    frames: Sequence[Atoms], predictions: Sequence[Prediction]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return virials per atom, of labels and model, about the mean of each composition; nothing of too few frames.

    The mean is no measure: model and functional may have the lattice constant on either side of the frames'.
    """
    groups: dict[str, list[NDArray[np.float64]]] = {}
    for atoms, predicted in zip(frames, predictions, strict=True):
        virial = virial_of(atoms)
        if virial is not None:
            both = np.array([virial.ravel(), predicted.virial.ravel()]) / len(atoms)
            groups.setdefault(atoms.get_chemical_formula(), []).append(both)
    several = [np.array(group) - np.mean(group, axis=0) for group in groups.values() if len(group) > 1]
    if sum(map(len, several)) < FEWEST_VALUES:
        return np.zeros(0), np.zeros(0)
    labels, model = np.concatenate(several).transpose(1, 0, 2)
    return labels.ravel(), model.ravel()


def _check_zeros_of_virials(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> None:
    pairs = [
        (virial / len(atoms), predicted.virial / len(atoms))
        for atoms, predicted in zip(frames, predictions, strict=True)
        if (virial := virial_of(atoms)) is not None
    ]
    if not pairs:
        return
    labels, model = np.array(pairs).transpose(1, 0, 2, 3)
    scale = float(np.sqrt(np.mean(model**2)))
    if np.abs(labels).max() < ZERO_VIRIAL and scale > LEAST_MODEL_VIRIAL:
        raise _OddLabels(
            f"virials are all zero, though the model's are {scale:.2g} eV per atom (RMS): nobody has "
            "computed a stress. Give none, or have it computed."
        )


def _correlation(labels: NDArray[np.float64], model: NDArray[np.float64]) -> float:
    """Return the correlation of values about zero; 0 where there are too few, or nothing but zeros."""
    scales = np.sqrt(np.sum(labels**2) * np.sum(model**2))
    return float(np.sum(labels * model) / scales) if len(labels) >= FEWEST_VALUES and scales > 0 else 0.0


def _check_sign(labels: NDArray[np.float64], model: NDArray[np.float64]) -> None:
    correlation = _correlation(labels, model)
    if correlation <= -LEAST_CORRELATION:
        raise _OddLabels(
            f"virials have the opposite sign of the model's (correlation {correlation:.2f}), "
            "though the forces agree: a virial is -V·stress, and a stress is negative under pressure (ASE's sign)."
        )


def _check(what: str, unit: str, labels: NDArray[np.float64], model: NDArray[np.float64], largest: float) -> None:
    correlation = _correlation(labels, model)
    if correlation < LEAST_CORRELATION:
        return
    scale = float(np.sqrt(np.mean(labels**2)))
    factor = scale / float(np.sqrt(np.mean(model**2)))
    too_small, too_large = factor < 1 / LARGEST_FACTOR, factor > LARGEST_FACTOR and scale > largest
    if not (too_small or too_large):
        return
    size = f"{1 / factor:.0f} times smaller than" if too_small else f"{factor:.0f} times as large as"
    raise _OddLabels(
        f"{what} are {size} the model's, and otherwise follow them (correlation {correlation:.2f}): is "
        f"their unit {unit}?"
    )
