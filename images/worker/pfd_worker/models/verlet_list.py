"""A neighbour list with a skin for MD: searched anew only when atoms have moved, as in every MD program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepmd.dpmodel.utils.neighbor_list import NeighborList

if TYPE_CHECKING:
    from torch import Tensor

SKIN_ANGSTROM = 0.8
"""Pairs farther apart than the cutoff by less than this are kept in the list (Verlet, Phys. Rev. 159, 98, 1967)."""


@dataclass(frozen=True)
class _Pairs:
    """All pairs within cutoff and skin of the positions they were searched for."""

    cutoff: float
    positions: Tensor
    cell: Tensor
    types: Tensor
    ghost_of: Tensor
    """(n_ghosts,): the atom whose periodic image a ghost is."""
    ghost_shift: Tensor
    """(n_ghosts, 3): by how many cells."""
    neighbours: Tensor
    """(n_atoms, n_most): atoms, then ghosts, -1 where there is none."""

    def hold_for(self, positions: Tensor, cell: Tensor, types: Tensor, cutoff: float) -> bool:
        """Tell whether no pair outside can have come within the cutoff."""
        if cutoff != self.cutoff or positions.shape != self.positions.shape or not (types == self.types).all():
            return False
        moved = 2.0 * (positions - self.positions).norm(dim=1).max()
        if len(self.ghost_shift):
            moved = moved + (self.ghost_shift @ (cell - self.cell)).norm(dim=1).max()
        return bool(moved < SKIN_ANGSTROM)


class VerletList(NeighborList):  # type: ignore[misc]
    """deepmd-kit's neighbour-list strategy with a memory for one periodic system.

    deepmd-kit's own ones are stateless and search at every call, which takes a compressed student a sixth (100 atoms)
    to a third (500 atoms) of an MD step. What this one returns gives the same energies and forces to the last bits.

    Parameters
    ----------
    search
        deepmd-kit's strategy for all else: several frames, no periodicity, excluded pairs.
    """

    def __init__(self, search: NeighborList) -> None:
        self._search = search
        self._pairs: _Pairs | None = None
        self.searches = 0

    def build(
        self,
        coord: Any,
        atype: Any,
        box: Any,
        rcut: float,
        sel: list[int],
        return_mode: str = "extended",
        pair_excl: Any = None,
    ) -> Any:
        """Return extended coordinates, types, neighbours and mapping: see deepmd-kit's `NeighborList.build`."""
        if len(atype) != 1 or box is None or return_mode != "extended" or pair_excl is not None or not atype.numel():
            return self._search.build(coord, atype, box, rcut, sel, return_mode, pair_excl)
        import torch

        positions, cell, types = coord.reshape(-1, 3), box.reshape(3, 3), atype.reshape(-1)
        with torch.no_grad():
            if self._pairs is None or not self._pairs.hold_for(positions, cell, types, rcut):
                self._pairs = _search(positions.detach(), cell.detach(), types, rcut)
                self.searches += 1
        pairs = self._pairs
        # not a matrix product: for three columns the sum is many times faster
        images = positions[pairs.ghost_of] + (pairs.ghost_shift[:, :, None] * cell).sum(1)
        extended = torch.cat([positions, images])
        with torch.no_grad():
            neighbours = _within(pairs.neighbours, extended, rcut, sum(sel))
        atoms = torch.arange(len(types), device=types.device)
        mapping = torch.cat([atoms, pairs.ghost_of])
        return extended[None], types[mapping][None], neighbours[None], mapping[None]


def _search(positions: Tensor, cell: Tensor, types: Tensor, cutoff: float) -> _Pairs:
    """Find all pairs; an image that several atoms have as neighbour is one ghost."""
    import torch
    from deepmd.pt_expt.utils.vesin_graph_builder import vesin_search_ijs

    count, device = len(positions), positions.device
    first, second, shift = vesin_search_ijs(positions, cell, True, cutoff + SKIN_ANGSTROM, device)
    outside = shift.any(dim=1)
    keys = torch.cat([second[outside][:, None], shift[outside]], dim=1)
    ghosts, number = torch.unique(keys, dim=0, return_inverse=True)
    neighbour = second.clone()
    neighbour[outside] = count + number
    counts = torch.bincount(first, minlength=count)
    order = torch.argsort(first, stable=True)
    starts = torch.repeat_interleave(torch.cumsum(counts, 0) - counts, counts)
    column = torch.arange(len(first), device=device) - starts
    most = int(counts.max())
    table = torch.full((count, most), -1, dtype=torch.int64, device=device)
    table[first[order], column] = neighbour[order]
    return _Pairs(
        cutoff=cutoff,
        positions=positions.clone(),
        cell=cell.clone(),
        types=types.clone(),
        ghost_of=ghosts[:, 0],
        ghost_shift=ghosts[:, 1:].to(positions.dtype),
        neighbours=table,
    )


def _within(table: Tensor, extended: Tensor, cutoff: float, room: int) -> Tensor:
    """Return the nearest `room` neighbours within the cutoff, the nearest first, -1 where there are fewer.

    Models with several cutoffs (DPA-2) take the first of the list for the shorter ones.
    """
    import torch

    squared = (extended[table.clamp(min=0)] - extended[: len(table), None]).square().sum(-1)
    near = (table >= 0) & (squared <= cutoff * cutoff)
    nearest = torch.argsort(torch.where(near, squared, torch.inf), dim=1)[:, :room]
    found = torch.take_along_dim(torch.where(near, table, -1), nearest, dim=1)
    empty = torch.full((len(table), room - found.shape[1]), -1, dtype=table.dtype, device=table.device)
    return torch.cat([found, empty], dim=1)
