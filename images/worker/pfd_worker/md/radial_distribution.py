"""Radial distribution functions, and how much those of two models overlap."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from scipy.spatial.distance import braycurtis

from pfd_worker.cells import cell_heights

R_MAX_ANGSTROM = 8.0
BIN_WIDTH_ANGSTROM = 0.05
Pair = tuple[str, str]
"""Two elements in alphabetical order."""


@dataclass(frozen=True)
class RadialDistribution:
    """g(r) of every pair of elements, on one grid."""

    bin_width: float
    """In Å."""
    g: Mapping[Pair, NDArray[np.float64]]
    """(n_bins,), no unit: 1 where atoms know nothing of each other."""
    frames: int

    @property
    def r(self) -> NDArray[np.float64]:
        """Middles of the bins, in Å."""
        n_bins = len(next(iter(self.g.values()), ()))
        return np.asarray(self.bin_width * (np.arange(n_bins) + 0.5), dtype=np.float64)


def radial_distribution(
    frames: Sequence[Atoms], r_max: float | None = None, bin_width: float = BIN_WIDTH_ANGSTROM
) -> RadialDistribution:
    """Average g(r) of every pair of elements over frames of the same atoms.

    g_ab(r) is the number of b atoms between r and r + dr around an a atom, over the number that N_b atoms (N_a − 1 for
    a = b) spread evenly over the cell and its images would have there: an ideal gas gives 1 in cells of any size. An
    atom is no partner of its own images, which move with it.

    Parameters
    ----------
    frames
        With three periodic directions; the cell may change between them.
    r_max
        Largest distance, in Å; cut to the shortest distance between opposite cell faces in any frame, beyond which an
        atom would meet its own images. By default half of that, since beyond it an atom may meet two images of another
        one, and no more than `R_MAX_ANGSTROM`.
    bin_width
        In Å.

    Raises
    ------
    ValueError
        If there is no frame, one is not periodic in all directions, the elements differ, there is only one atom, or
        the cell is thinner than its bins.
    """
    if not frames:
        raise ValueError("no frames: a radial distribution function needs at least one")
    symbols = np.array(frames[0].get_chemical_symbols())
    for number, atoms in enumerate(frames):
        if not atoms.pbc.all():
            raise ValueError(f"frame {number} is not periodic in all directions: it has no density to compare with")
        if not np.array_equal(symbols, atoms.get_chemical_symbols()):
            raise ValueError(f"frame {number} ({atoms.get_chemical_formula()}) has other atoms than frame 0")
    if len(symbols) < 2:
        raise ValueError("a cell of one atom has no pairs: take a larger cell")
    height = min(float(cell_heights(atoms).min()) for atoms in frames)
    reach = min(R_MAX_ANGSTROM, height / 2) if r_max is None else min(r_max, height)
    n_bins = int(reach / bin_width + 1e-9)
    if n_bins < 1:
        raise ValueError(f"a reach of {reach:.3f} Å, by the shortest cell height, is below the bin of {bin_width:g} Å")
    totals: dict[Pair, NDArray[np.float64]] = {}
    for atoms in frames:
        for pair, values in _one_frame(atoms, symbols, bin_width, n_bins).items():
            totals[pair] = totals.get(pair, 0.0) + values
    return RadialDistribution(bin_width, {pair: total / len(frames) for pair, total in totals.items()}, len(frames))


def _one_frame(
    atoms: Atoms, symbols: NDArray[np.str_], bin_width: float, n_bins: int
) -> dict[Pair, NDArray[np.float64]]:
    edges = bin_width * np.arange(n_bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    first, second, distances = neighbor_list("ijd", atoms, float(edges[-1]))
    bins = np.minimum((distances / bin_width).astype(int), n_bins - 1)
    found = {}
    for a, b in itertools.combinations_with_replacement(sorted(set(symbols)), 2):
        n_a, n_b = int(np.sum(symbols == a)), int(np.sum(symbols == b))
        partners = n_a * (n_a - 1 if a == b else n_b)
        if not partners:
            continue
        # by rounding, an atom's own image may be as far as the last bin reaches
        chosen = (symbols[first] == a) & (symbols[second] == b) & (first != second)
        counts = np.bincount(bins[chosen], minlength=n_bins)
        found[(str(a), str(b))] = counts * atoms.get_volume() / (partners * shells)
    return found


def overlaps(one: RadialDistribution, other: RadialDistribution) -> dict[Pair, float]:
    """Return how much two sets of g(r) overlap, for each pair of elements, from 0 (nowhere) to 1 (equal).

    A pair that is within reach in neither set, as that of two rare atoms, is left out.

    S = 1 − ∫|g₁ − g₂| dr / (∫g₁ dr + ∫g₂ dr), up to the shorter of the two largest distances: one minus the
    dissimilarity of J. R. Bray and J. T. Curtis, Ecol. Monogr. 27, 325 (1957), doi:10.2307/1942268.

    Raises
    ------
    ValueError
        If bin widths or pairs of elements differ, or no pair has neighbours within reach.
    """
    if one.bin_width != other.bin_width:
        raise ValueError(f"bin widths differ: {one.bin_width:g} and {other.bin_width:g} Å")
    if set(one.g) != set(other.g):
        raise ValueError(f"pairs of elements differ: {sorted(one.g)} and {sorted(other.g)}")
    n_bins = min(len(one.r), len(other.r))
    found = {}
    for pair in sorted(one.g):
        mine, theirs = one.g[pair][:n_bins], other.g[pair][:n_bins]
        if (mine + theirs).any():
            found[pair] = 1 - float(braycurtis(mine, theirs))
    if not found:
        raise ValueError(f"no pair of atoms is within {n_bins * one.bin_width:.2f} Å: take a larger cell")
    return found


def self_overlaps(
    frames: Sequence[Atoms], r_max: float | None = None, bin_width: float = BIN_WIDTH_ANGSTROM
) -> dict[Pair, float]:
    """Return the overlap of the first half of a trajectory with its second: what its length lets any model reach.

    Raises
    ------
    ValueError
        With fewer than two frames, and as `radial_distribution` and `overlaps`.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} frames cannot be halved")
    half = len(frames) // 2
    return overlaps(
        radial_distribution(frames[:half], r_max, bin_width), radial_distribution(frames[half:], r_max, bin_width)
    )
