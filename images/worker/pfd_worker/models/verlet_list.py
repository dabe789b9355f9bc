"""A neighbour list with a skin for MD: searched anew only when atoms have moved, as in every MD program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepmd.dpmodel.utils.neighbor_list import NeighborList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

SKIN_ANGSTROM = 0.8
"""Pairs farther apart than the cutoff by less than this are kept in the list (Verlet, Phys. Rev. 159, 98, 1967)."""


@dataclass(frozen=True)
class _Pairs:
    """All pairs within cutoff and skin of the positions they were searched for, in frames of as many atoms each."""

    cutoff: float
    positions: Tensor
    """(n_frames, n_atoms, 3)."""
    cells: Tensor
    types: Tensor
    ghost_of: Tensor
    """(n_frames, n_ghosts): the atom whose periodic image a ghost is; 0 for those that fill up a frame with fewer."""
    ghost_shift: Tensor
    """(n_frames, n_ghosts, 3): by how many cells."""
    extended_types: Tensor
    """(n_frames, n_atoms + n_ghosts): of atoms and ghosts, -1 where there is none."""
    neighbours: Tensor
    """(n_frames, n_atoms, n_most): atoms, then ghosts, -1 where there is none."""

    def hold_for(self, positions: Tensor, cells: Tensor, types: Tensor, cutoff: float) -> bool:
        """Tell whether no pair outside can have come within the cutoff, in any frame."""
        if cutoff != self.cutoff or positions.shape != self.positions.shape:
            return False
        moved = 2.0 * (positions - self.positions).norm(dim=2).amax(dim=1)
        if self.ghost_shift.shape[1]:
            moved = moved + _sum_of_cells(self.ghost_shift, cells - self.cells).norm(dim=2).amax(dim=1)
        # one answer: on a GPU each would be waited for
        return bool(((moved < SKIN_ANGSTROM).all() & (types == self.types).all()).item())


class VerletList(NeighborList):  # type: ignore[misc]
    """deepmd-kit's neighbour-list strategy with a memory for periodic systems, and the same frames of each call.

    deepmd-kit's own ones are stateless and search at every call, frame by frame, which takes a compressed student a
    sixth (100 atoms) to a third (500 atoms) of an MD step. What this one returns gives the same energies and forces to
    the last bits. Frames of each number of atoms are remembered by themselves, and searched together when one needs it.

    Parameters
    ----------
    search
        deepmd-kit's strategy for all else: no periodicity, excluded pairs.
    """

    def __init__(self, search: NeighborList) -> None:
        self._search = search
        self._pairs: dict[tuple[int, int], _Pairs] = {}
        self._turn = Counter[int]()
        self.searches = 0

    def begin(self) -> None:
        """Begin a prediction, whose parts are in the order of those of the last one.

        After an out-of-memory deepmd-kit computes frames that were one part in several. With one list for all, each
        part would take that of another for its own, and search anew in every step.
        """
        self._turn.clear()

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
        if box is None or return_mode != "extended" or pair_excl is not None or not atype.numel():
            return self._search.build(coord, atype, box, rcut, sel, return_mode, pair_excl)
        import torch

        frames, count = atype.shape
        positions, cells = coord.reshape(frames, count, 3), box.reshape(frames, 3, 3)
        with torch.no_grad():
            part = (count, self._turn[count])
            self._turn[count] += 1
            pairs = self._pairs.get(part)
            if pairs is None or not pairs.hold_for(positions, cells, atype, rcut):
                pairs = self._pairs[part] = _search(positions.detach(), cells.detach(), atype, rcut)
                self.searches += 1
        images = positions.gather(1, pairs.ghost_of[:, :, None].expand(-1, -1, 3))
        extended = torch.cat([positions, images + _sum_of_cells(pairs.ghost_shift, cells)], dim=1)
        with torch.no_grad():
            neighbours = _within(pairs.neighbours, extended, rcut, sum(sel))
        atoms = torch.arange(count, device=atype.device).expand(frames, count)
        return extended, pairs.extended_types, neighbours, torch.cat([atoms, pairs.ghost_of], dim=1)


def _sum_of_cells(shift: Tensor, cells: Tensor) -> Tensor:
    # not a matrix product: for three columns the sum is many times faster
    return (shift[:, :, :, None] * cells[:, None]).sum(2)


def _search(positions: Tensor, cells: Tensor, types: Tensor, cutoff: float) -> _Pairs:
    """Find all pairs of all frames."""
    import torch

    found = [_search_frame(*frame, cutoff) for frame in zip(positions, cells, strict=True)]
    ghost_of, ghost_shift, neighbours = zip(*found, strict=True)
    mapping = _filled_up(ghost_of, -1)
    ghost_types = torch.where(mapping >= 0, types.gather(1, mapping.clamp(min=0)), -1)
    return _Pairs(
        cutoff=cutoff,
        positions=positions.clone(),
        cells=cells.clone(),
        types=types.clone(),
        ghost_of=mapping.clamp(min=0),
        ghost_shift=_filled_up(ghost_shift, 0).to(positions.dtype),
        extended_types=torch.cat([types, ghost_types], dim=1),
        neighbours=_filled_up([table.T for table in neighbours], -1).transpose(1, 2),
    )


def _filled_up(parts: Sequence[Tensor], value: int) -> Tensor:
    """Stack parts of unequal length."""
    from torch.nn.utils.rnn import pad_sequence

    return pad_sequence(list(parts), batch_first=True, padding_value=value)


def _search_frame(positions: Tensor, cell: Tensor, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return whose image each ghost is, by how many cells, and the table of neighbours of one frame.

    An image that several atoms have as neighbour is one ghost.
    """
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
    table = torch.full((count, int(counts.max())), -1, dtype=torch.int64, device=device)
    table[first[order], column] = neighbour[order]
    return ghosts[:, 0], ghosts[:, 1:], table


def _within(table: Tensor, extended: Tensor, cutoff: float, room: int) -> Tensor:
    """Return the nearest `room` neighbours within the cutoff, the nearest first, -1 where there are fewer.

    Models with several cutoffs (DPA-2) take the first of the list for the shorter ones.
    """
    import torch

    frames, count, most = table.shape
    numbers = table.clamp(min=0).reshape(frames, -1, 1).expand(-1, -1, 3)
    between = extended.gather(1, numbers).reshape(frames, count, most, 3) - extended[:, :count, None]
    squared = between.square().sum(-1)
    near = (table >= 0) & (squared <= cutoff * cutoff)
    nearest = torch.argsort(torch.where(near, squared, torch.inf), dim=2)[:, :, :room]
    found = torch.take_along_dim(torch.where(near, table, -1), nearest, dim=2)
    empty = torch.full((frames, count, room - found.shape[2]), -1, dtype=table.dtype, device=table.device)
    return torch.cat([found, empty], dim=2)
