"""Labels against predictions of one model on the hold-out: thinned points to draw, full statistics to trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.digest import seed_of
from pfd_worker.evaluation.shift import energies_of_elements
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.models.base import Prediction

MAX_POINTS = 2500
"""Points of one scatter plot: more neither fit the page nor can be told apart."""
FORCE_BINS = 10
HISTOGRAM_BINS = 41

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parity:
    """Points of a parity plot."""

    label: Floats
    predicted: Floats
    systems: tuple[str, ...]
    """The system of each point."""
    total: int
    """Points there were before thinning."""


@dataclass(frozen=True)
class ForceBins:
    """Force error by the size of the labelled force; bins hold equally many atoms."""

    edges: Floats
    """(n_bins + 1,), |F| in eV/Å."""
    rmse: Floats
    """(n_bins,), over components, in eV/Å."""
    atoms: NDArray[np.int64]
    """(n_bins,)"""


@dataclass(frozen=True)
class Histogram:
    """Counts of force component errors."""

    edges: Floats
    """(n_bins + 1,), in eV/Å; what lies outside is counted in the outermost bins."""
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """One model against the labels of the hold-out."""

    energy: Parity
    """eV/atom, less the elements' share fitted to the labels: see `compare`."""
    forces: Parity
    """Components, eV/Å."""
    virial: Parity | None
    """The six components per atom, eV; None if no frame has a virial."""
    force_bins: ForceBins
    force_errors: Histogram


def compare(frames: Sequence[Atoms], predictions: Sequence[Prediction], seed: int) -> Comparison:
    """Set predictions against labels.

    Compositions differ by many eV/atom, beside which no error is seen. So the energy per element that fits the labels
    best is taken off labels and predictions alike; differences between the two are as they were.

    Parameters
    ----------
    frames
        Labelled, at least one.
    predictions
        Of the same frames.
    seed
        Of the thinning.
    """
    systems = [str(atoms.info.get("system", "all")) for atoms in frames]
    sizes = np.array([len(atoms) for atoms in frames])
    label_energy = np.array([energy_of(atoms) for atoms in frames]) / sizes
    reference = energies_of_elements([atoms.get_chemical_symbols() for atoms in frames], label_energy)
    label_energy -= reference
    energy = np.array([predicted.energy for predicted in predictions]) / sizes - reference
    label_forces = np.concatenate([atoms.get_forces() for atoms in frames])
    forces = np.concatenate([predicted.forces for predicted in predictions])
    of_component = [system for system, size in zip(systems, sizes, strict=True) for _ in range(3 * size)]
    return Comparison(
        energy=_thinned(label_energy, energy, systems, seed_of(seed, "energy")),
        forces=_thinned(label_forces.ravel(), forces.ravel(), of_component, seed_of(seed, "forces")),
        virial=_virial(frames, predictions, systems, seed_of(seed, "virial")),
        force_bins=force_bins(label_forces, forces),
        force_errors=histogram((forces - label_forces).ravel()),
    )


def _virial(
    frames: Sequence[Atoms], predictions: Sequence[Prediction], systems: Sequence[str], seed: int
) -> Parity | None:
    upper = np.triu_indices(3)
    rows = [
        (reference[upper] / len(atoms), predicted.virial[upper] / len(atoms), system)
        for atoms, predicted, system in zip(frames, predictions, systems, strict=True)
        if (reference := virial_of(atoms)) is not None
    ]
    if not rows:
        return None
    labels, values = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
    return _thinned(labels, values, [row[2] for row in rows for _ in range(6)], seed)


def _thinned(label: Floats, predicted: Floats, systems: Sequence[str], seed: int) -> Parity:
    total = len(label)
    rows = np.arange(total)
    if total > MAX_POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(total, MAX_POINTS, replace=False))
        # The worst point is what one looks for: thinning must not hide it
        worst = int(np.argmax(np.abs(predicted - label)))
        if worst not in rows:
            rows = np.sort(np.append(rows[1:], worst))
    return Parity(label[rows], predicted[rows], tuple(systems[int(row)] for row in rows), total)


def force_bins(labels: Floats, forces: Floats) -> ForceBins:
    """Return the force RMSE of equally large groups of atoms, ordered by the size of their labelled force.

    Parameters
    ----------
    labels, forces
        (n_atoms, 3), in eV/Å.
    """
    sizes = np.linalg.norm(labels, axis=1)
    order = np.argsort(sizes, kind="stable")
    groups = np.array_split(order, min(FORCE_BINS, len(order)))
    squares = np.mean((forces - labels) ** 2, axis=1)
    return ForceBins(
        edges=np.array([*(sizes[group[0]] for group in groups), sizes[order[-1]]]),
        rmse=np.array([np.sqrt(squares[group].mean()) for group in groups]),
        atoms=np.array([len(group) for group in groups]),
    )


def histogram(errors: Floats) -> Histogram:
    """Count signed errors in equal bins around zero, out to where 1 in 1000 lies beyond; the rest goes outermost."""
    reach = float(np.quantile(np.abs(errors), 0.999)) or 1e-6
    counts, edges = np.histogram(np.clip(errors, -reach, reach), bins=HISTOGRAM_BINS, range=(-reach, reach))
    return Histogram(edges=edges, counts=counts)
