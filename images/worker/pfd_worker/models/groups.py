"""Frames that a model can compute at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from ase import Atoms


def groups_of_equal_atoms(frames: Sequence[Atoms]) -> list[list[int]]:
    """Group frame numbers by species sequence and periodicity."""
    return _groups((atoms.numbers.tobytes(), bool(atoms.pbc.any())) for atoms in frames)


def groups_of_equal_size(frames: Sequence[Atoms]) -> list[list[int]]:
    """Group frame numbers by number of atoms and periodicity."""
    return _groups((len(atoms), bool(atoms.pbc.any())) for atoms in frames)


def _groups(keys: Iterable[Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key, []).append(number)
    return list(groups.values())
