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
from pfd_worker.selection.overlaps import closest_overlap

Floats = NDArray[np.float64]

LARGEST_FACTOR = 5.0
"""Labels that follow the model but are smaller by more have another unit: Rydberg for eV is 14, Hartree 27, and
Hartree/Bohr for eV/Å 51. Models and functionals differ by less than two."""
LARGEST_FACTOR_OF_MEDIOCRE = 10.0
"""Where the model follows them less well. It is as large as they are all the same, however far off it is."""
LARGEST_FORCE = 10.0
LARGEST_ENERGY = 1.0
"""Labels that are larger by so much may be right, and the model hardly trained. Beyond these too (RMS, in eV/Å, and
in eV per atom about the mean of the composition) they are not those of atoms below 3000 K: kcal/mol for eV is 23."""
POSSIBLE_FORCE = 100.0
POSSIBLE_ENERGY = 25.0
"""Beyond these, labels are wrong whatever the model: forces of MD are √(k·kT), of diamond at 5000 K 5 eV/Å, and three
times that in the core of the Earth; a crystal is bound by 9 eV per atom at the most. It is the median of the frames (of
RMS forces, and of energies about what an energy for each element explains) without `CLOSE`: of two atoms that meet, and
of a few frames, there may be more."""
CLOSE = 0.7
"""In sums of covalent radii: iron at 4 Mbar has its neighbours at 0.8, and hot atoms hardly come closer."""
LARGEST_VIRIAL = 5.0
"""Likewise, in eV per atom about the mean of the composition: GPa·Å³ for eV is 160."""
ZERO_VIRIAL = 1e-6
"""In eV per atom: what is nowhere larger was not computed. Programs print more digits, and cells at rest have more."""
LEAST_MODEL_VIRIAL = 0.01
"""RMS, in eV per atom: above it the model's are not those of atoms so far apart that there is nothing to compute."""
LEAST_CORRELATION = 0.8
"""Labels that follow it less well are of a material that the model does not know well."""
LEAST_CORRELATION_OF_MEDIOCRE = 0.3
"""Labels that follow it less well than this say nothing."""
SIGNIFICANCE = 3.0
"""Of a lower correlation than `LEAST_CORRELATION`, or of few values: in standard errors, 1/√n by chance."""
SIGNIFICANCE_BESIDE_FORCES = 1.75
"""Of few energies that follow the model by `LEAST_CORRELATION`, as their forces do in the right unit."""
FEWEST_VALUES = 8
"""Of energies and force components, and of frames with a virial. Fewer tell only of larger factors."""

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
    energies = _relative_energies(frames, labels), _relative_energies(frames, predictions)
    _check_possible(frames, labels, energies[0])
    forces = _forces(labels), _forces(predictions)
    _check("forces", "eV/Å", *forces, LARGEST_FORCE)
    model_knows = len(forces[0]) >= FEWEST_VALUES and _correlation(*forces) >= LEAST_CORRELATION
    _check("energies", "eV", *energies, LARGEST_ENERGY, beside_forces=model_knows)
    _check_zeros_of_virials(frames, predictions)
    virials = _relative_virials(frames, predictions)
    _check("virials", "eV, and of a stress eV/Å³", *virials, LARGEST_VIRIAL)
    if model_knows:
        _check_sign(*virials)


def _forces(values: Sequence[Prediction]) -> Floats:
    return np.concatenate([value.forces.ravel() for value in values])


def _check_possible(frames: Sequence[Atoms], labels: Sequence[Prediction], energies: Floats) -> None:
    usual = [row for row, atoms in enumerate(frames) if closest_overlap(atoms, CLOSE) is None]
    if not usual:
        return
    force = float(np.median([np.sqrt(np.mean(labels[row].forces ** 2)) for row in usual]))
    energy = _usual_size(energies[usual])
    if force > POSSIBLE_FORCE:
        raise _OddLabels(
            f"forces are {force:.0f} eV/Å in half of the frames (RMS), though no two atoms are close: is their unit "
            "eV/Å?"
        )
    if energy > POSSIBLE_ENERGY:
        raise _OddLabels(
            f"energies scatter by {energy:.0f} eV per atom in half of the frames, beyond what compositions explain: is "
            "their unit eV, and are all of one reference?"
        )


def _relative_energies(frames: Sequence[Atoms], values: Sequence[Prediction]) -> Floats:
    """Return energies per atom without what an energy for each element explains: the zero of a code is no unit."""
    energies = np.array([value.energy / len(atoms) for atoms, value in zip(frames, values, strict=True)])
    return energies - energies_of_elements([atoms.get_chemical_symbols() for atoms in frames], energies)


def _relative_virials(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> tuple[Floats, Floats]:
    """Return virials per atom, of labels and model, about the mean of each composition; nothing of too few frames.

    The mean is no measure: model and functional may have the lattice constant on either side of the frames'.
    """
    groups: dict[str, list[Floats]] = {}
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


def _correlation(labels: Floats, model: Floats) -> float:
    """Return the correlation of values about zero; 0 where there are nothing but zeros."""
    scales = np.sqrt(np.sum(labels**2) * np.sum(model**2))
    return float(np.sum(labels * model) / scales) if scales > 0 else 0.0


def _usual_size(values: Floats) -> float:
    return float(np.median(np.abs(values - np.median(values))))


def _check_sign(labels: Floats, model: Floats) -> None:
    correlation = _correlation(labels, model)
    if correlation <= -LEAST_CORRELATION:
        raise _OddLabels(
            f"virials have the opposite sign of the model's (correlation {correlation:.2f}), "
            "though the forces agree: a virial is -V·stress, and a stress is negative under pressure (ASE's sign)."
        )


def _check(
    what: str,
    unit: str,
    labels: Floats,
    model: Floats,
    largest: float,
    beside_forces: bool = False,
) -> None:
    correlation = _correlation(labels, model)
    most = _largest_factor(correlation, len(labels), beside_forces)
    if most is None:
        return
    scale = float(np.sqrt(np.mean(labels**2)))
    factor = scale / float(np.sqrt(np.mean(model**2)))
    # a model may be wrong by any factor where two atoms meet, and few such frames outweigh all others
    known = (labels != 0) & (model != 0)
    usual = _usual_size(labels[known]) / (_usual_size(model[known]) or scale)
    # errors of the model make it larger than the labels, but do not let it rise faster than they do
    too_small = most * max(factor, usual) < correlation
    too_large = min(factor, usual) > most and scale > largest
    if not (too_small or too_large):
        return
    size = f"{1 / factor:.0f} times smaller than" if too_small else f"{factor:.0f} times as large as"
    raise _OddLabels(
        f"{what} are {size} the model's, and otherwise follow them (correlation {correlation:.2f}): is "
        f"their unit {unit}?"
    )


def _largest_factor(correlation: float, count: int, beside_forces: bool) -> float | None:
    """Return by which factor labels may differ from a model that they follow so well; None: by any."""
    errors = correlation * np.sqrt(count)
    if correlation >= LEAST_CORRELATION and count >= FEWEST_VALUES:
        return LARGEST_FACTOR
    significant = correlation >= LEAST_CORRELATION_OF_MEDIOCRE and errors >= SIGNIFICANCE
    few = beside_forces and correlation >= LEAST_CORRELATION and errors >= SIGNIFICANCE_BESIDE_FORCES
    return LARGEST_FACTOR_OF_MEDIOCRE if significant or few else None
