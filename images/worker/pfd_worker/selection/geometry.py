"""Frames no reference calculation should be wasted on: overlapping atoms, broken cells, exploding energy."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_worker.selection.overlaps import Overlap, closest_overlap, closest_overlaps, periodic_cells

__all__ = [
    "GeometryLimits",
    "Overlap",
    "closest_overlap",
    "energy_faults",
    "geometry_fault",
    "geometry_faults",
]

FEWEST_FRAMES_TO_COMPARE = 5
SMALLEST_VOLUME = 1e-3


@dataclass(frozen=True)
class GeometryLimits:
    """What a frame worth a label keeps to."""

    min_distance_factor: float
    """Smallest distance of a pair, in units of the sum of its covalent radii."""
    smallest_height_angstrom: float = 1.0
    """Smallest distance of opposite faces of the cell."""
    smallest_height_over_edge: float = 0.2
    """Sine of the angle between an edge and the opposite face: 1 is a right angle. Rhombohedral cells of layered
    crystals (Bi2Te3: 0.36) pass."""
    largest_edge_ratio: float = 20.0
    """Longest edge over the shortest. PFD-kit's 5 drops slabs with vacuum and long supercells."""
    edge_ratio_growth: float = 1.5
    """A start may be longer than that; MD may make it longer yet by this factor."""
    volume_change_factor: float = 2.0
    """MD whose cell grew or shrank by more than this has evaporated or collapsed."""
    energy_deviation_ev_per_atom: float = 3.0
    """From the median of earlier frames of the same atoms in the same stratum: ten times the thermal energy 3/2 kT at
    2300 K."""


def geometry_faults(
    frames: Sequence[Atoms], limits: GeometryLimits, starts: Sequence[Atoms | None] | None = None
) -> list[str | None]:
    """Say in words what is wrong with each frame of a shard, None if nothing is.

    Parameters
    ----------
    frames
        Of any sizes and elements.
    limits
        See `GeometryLimits`; only axes that are periodic have a length and a height.
    starts
        Where each frame's MD began: its cell is compared with that one's.
    """
    faults = _cell_faults(frames, limits, starts or [None] * len(frames))
    sound = [number for number, fault in enumerate(faults) if fault is None]
    overlaps = closest_overlaps([frames[number] for number in sound], limits.min_distance_factor)
    for number, overlap in zip(sound, overlaps, strict=True):
        if overlap is not None:
            faults[number] = overlap.describe(frames[number])
    return faults


def geometry_fault(atoms: Atoms, min_distance_factor: float, start: Atoms | None = None) -> str | None:
    """Say in words what is wrong with one frame: see `geometry_faults`.

    Parameters
    ----------
    atoms
        The frame.
    min_distance_factor
        Smallest distance allowed, in units of the sum of the two covalent radii.
    start
        Where its MD began, if it should be compared with.
    """
    return geometry_faults([atoms], GeometryLimits(min_distance_factor), [start])[0]


def energy_faults(frames: Sequence[Atoms], energies_ev: Sequence[float], limits: GeometryLimits) -> list[str | None]:
    """Name the frames whose energy is not finite, or far from that of the same atoms under the same conditions before.

    What is far is no part of what later frames are compared with: most trajectories may fall into a hole of the model
    in the end, and the sound frames are still those before.

    Parameters
    ----------
    frames
        A shard, with stratum and step in their info: the same atoms may be a crystal in one stratum, a gas in another.
    energies_ev
        Total energy of each frame by the exploring model, in eV.
    limits
        The first five frames that can be compared are compared with one another; fewer have no median.
    """
    per_atom = np.array([energy / max(1, len(atoms)) for atoms, energy in zip(frames, energies_ev, strict=True)])
    groups: dict[tuple[str, bytes], list[int]] = {}
    for number, atoms in enumerate(frames):
        alike = str(atoms.info.get("stratum", "")), np.sort(atoms.numbers).tobytes()
        groups.setdefault(alike, []).append(number)
    faults: list[str | None] = [None if np.isfinite(energy) else "the energy is not a number" for energy in per_atom]
    for members in groups.values():
        finite = [number for number in members if faults[number] is None]
        finite.sort(key=lambda number: frames[number].info.get("step", 0))
        if len(finite) < FEWEST_FRAMES_TO_COMPARE:
            continue
        # the first ones are compared with one another
        before = sorted(per_atom[finite[:FEWEST_FRAMES_TO_COMPARE]])
        first = before[len(before) // 2]
        before = [energy for energy in before if abs(energy - first) <= limits.energy_deviation_ev_per_atom]
        for place, number in enumerate(finite):
            among_first = place < FEWEST_FRAMES_TO_COMPARE
            deviation = per_atom[number] - (first if among_first else before[len(before) // 2])
            if abs(deviation) > limits.energy_deviation_ev_per_atom:
                faults[number] = (
                    f"the energy is {deviation:+.1f} eV per atom from the median of the MD before, "
                    f"more than {limits.energy_deviation_ev_per_atom:g}"
                )
            elif not among_first:
                insort(before, per_atom[number])
    return faults


def _cell_faults(frames: Sequence[Atoms], limits: GeometryLimits, starts: Sequence[Atoms | None]) -> list[str | None]:
    faults: list[str | None] = [None] * len(frames)
    for number, atoms in enumerate(frames):
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
            faults[number] = "positions or cell are not numbers"
    numbers = [n for n, atoms in enumerate(frames) if faults[n] is None and atoms.pbc.any()]
    cells, periodic = periodic_cells([frames[number] for number in numbers])
    volumes = np.abs(np.linalg.det(cells))
    for row in np.flatnonzero(volumes < SMALLEST_VOLUME):
        faults[numbers[row]] = "the cell has no volume"
    solid = np.flatnonzero(volumes >= SMALLEST_VOLUME)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cells[solid]), axis=1)
    edges = np.linalg.norm(cells[solid], axis=2)
    thinnest = np.min(heights, axis=1, where=periodic[solid], initial=np.inf)
    steepness = np.min(heights / edges, axis=1, where=periodic[solid], initial=1.0)
    ratios = _edge_ratios(edges, periodic[solid])
    for place, number in enumerate(numbers[i] for i in solid):
        faults[number] = _box_fault(thinnest[place], steepness[place], limits)
        faults[number] = faults[number] or _change_fault(frames[number], ratios[place], starts[number], limits)
    return faults


def _edge_ratios(edges: NDArray[np.float64], periodic: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the longest over the shortest periodic edge of each cell, (n, 3) → (n,)."""
    longest = np.max(edges, axis=1, where=periodic, initial=0.0)
    ratios: NDArray[np.float64] = longest / np.min(edges, axis=1, where=periodic, initial=np.inf)
    return ratios


def _change_fault(atoms: Atoms, edge_ratio: float, start: Atoms | None, limits: GeometryLimits) -> str | None:
    if edge_ratio > limits.largest_edge_ratio and not _was_as_long(edge_ratio, start, limits):
        return f"an edge of the cell is {edge_ratio:.0f} times as long as another"
    before, now = 0.0 if start is None else abs(start.cell.volume), abs(atoms.cell.volume)
    if before and not 1 / limits.volume_change_factor < now / before < limits.volume_change_factor:
        return f"the volume went from {before:.0f} to {now:.0f} Å³"
    return None


def _was_as_long(edge_ratio: float, start: Atoms | None, limits: GeometryLimits) -> bool:
    if start is None:
        return False
    return bool(edge_ratio <= limits.edge_ratio_growth * _edge_ratios(start.cell.lengths()[None], start.pbc[None])[0])


def _box_fault(thinnest: float, steepness: float, limits: GeometryLimits) -> str | None:
    if thinnest < limits.smallest_height_angstrom:
        return f"the cell is thinner than {limits.smallest_height_angstrom:g} Å"
    if steepness < limits.smallest_height_over_edge:
        return f"the cell is skewed: an edge stands at {np.degrees(np.arcsin(steepness)):.0f}° on the opposite face"
    return None
