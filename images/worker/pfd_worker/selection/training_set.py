"""What candidates are compared with: the frames that are labelled already, and what of them tells what MD will be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_worker.frames import is_drawn_evenly
from pfd_worker.selection.compositions import composition_of

FEWEST_TRAJECTORIES = 9
"""Without so many, no quantile tells what is new; nor do fewer compositions tell a solution from compounds."""


@dataclass(frozen=True)
class TrainingSet:
    """The frames that are labelled already, which candidates are compared with."""

    features: NDArray[np.float32]
    """(m, d)."""
    trajectories: NDArray[np.intp]
    """(m,) which trajectory each is of: frames of one resemble one another more than they do any other MD."""
    comparable: NDArray[np.bool_]
    """(m,) whether its own score tells what the next MD's will be. Frames that were chosen for being far or extreme are
    not as that will be; and without its trajectory, the only one of its material, a frame has others nearest to it. In
    a solution of which hardly a composition has two, the next MD's will be of another one, too: all of it is one."""

    @classmethod
    def of(cls, features: NDArray[np.float32], frames: Iterable[Atoms]) -> TrainingSet:
        """Return the set of these frames, whose info says where they come from; given data were drawn by the user."""
        names, drawn, compositions, elements = [], [], [], []
        for atoms in frames:
            names.append(str(atoms.info["trajectory"]))
            drawn.append(is_drawn_evenly(atoms))
            system, composition = atoms.info["system"], composition_of(atoms)
            compositions.append((system, composition))
            elements.append((system, *(number for number, _ in composition)))
        trajectories_of = _trajectories(names, compositions)
        alone = [trajectories_of[composition] == 1 for composition in compositions]
        solutions = _solutions(names, elements, alone)
        comparable = [
            each and (not only or of in solutions) for each, only, of in zip(drawn, alone, elements, strict=True)
        ]
        _, trajectories = np.unique(names, return_inverse=True)
        return cls(features, trajectories, np.array(comparable, dtype=bool))


def _trajectories(names: Iterable[str], materials: Iterable[Hashable]) -> Counter[Hashable]:
    """Return how many trajectories there are of each material."""
    return Counter(material for _, material in set(zip(names, materials, strict=True)))


def _solutions(names: Sequence[str], elements: Sequence[Hashable], alone: Sequence[bool]) -> set[Hashable]:
    """Return elements that are mixed as it comes: most of many trajectories are the only one of their composition.

    Of a few, each may as well be of a compound, and those are unlike one another.
    """
    trajectories_of = _trajectories(names, elements)
    alone_of = _trajectories(compress(names, alone), compress(elements, alone))
    return {of for of, count in trajectories_of.items() if count >= FEWEST_TRAJECTORIES and 2 * alone_of[of] > count}
