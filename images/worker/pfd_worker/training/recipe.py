"""What differs between fine-tuning, training from scratch and going on with an earlier student: all of it is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Purpose(StrEnum):
    """Why a model is trained, hence where it starts."""

    FINE_TUNING = "fine-tuning"
    """From a pre-trained checkpoint."""
    SCRATCH = "scratch"
    """From random parameters."""
    CONTINUATION = "continuation"
    """From the student of an earlier round, with more labels."""


@dataclass(frozen=True)
class Recipe:
    """Settings of deepmd-kit that follow from the purpose."""

    start_option: str | None
    """Option of `dp train` that names the checkpoint it starts from; None if there is none."""
    neighbour_statistics: bool
    """Count neighbours in the data first: needed for `sel: auto`, and compression needs the smallest distance."""
    atoms_per_batch: int | None
    """Unit of the batch size; None if it counts frames."""
    highest_learning_rate: float
    """Cap on the first learning rate."""
    loss: Mapping[str, Any]
    """The loss section."""

    def batch_size(self, given: int) -> int | str:
        """Return it as deepmd-kit takes it: `auto:N` is the fewest frames of a system that hold N atoms."""
        return given if self.atoms_per_batch is None else f"auto:{given * self.atoms_per_batch}"


_SQUARED: Mapping[str, Any] = {
    "type": "ener",
    "start_pref_e": 0.2,
    "limit_pref_e": 20,
    "start_pref_f": 100,
    "limit_pref_f": 60,
    "start_pref_v": 0.02,
    "limit_pref_v": 1,
}
"""Forces weigh to the end. deepmd-kit's examples/water/se_e2_a/input.json, explained in its manual under 'Fit energy'
(docs.deepmodeling.com/projects/deepmd/en/master/model/train-energy.html), goes from 0.02 to 1 for the energy and from
1000 to 1 for forces, in a million steps. In 3000 steps, one run each, that left 0.42 eV/Å where this left 0.28
(docs/students.md, with what speaks against taking that gap at its word)."""

_HUBER: Mapping[str, Any] = {
    "type": "ener",
    "use_huber": True,
    "start_pref_e": 3.2,
    "limit_pref_e": 320,
    "start_pref_f": 200,
    "limit_pref_f": 120,
    "start_pref_v": 0.32,
    "limit_pref_v": 16,
}
"""The squared loss of frames of 8 atoms (Huber's has a factor of a half, and squares energies and virials per atom, not
per frame), but for force errors above a part of the RMS force, `huber_deltas`, which count linearly: with squares, six
close contacts among 320 frames of silicon doubled the error on all others (docs/students.md)."""

_LINEAR_ABOVE = 0.3
"""In RMS forces. For silicon at 300 to 900 K: 0.25 eV/Å."""
_SMALLEST_DELTA = 0.01


def huber_deltas(force_rms: float) -> list[float]:
    """Return from where on errors count linearly: eV/atom, eV/Å, eV/atom.

    Parameters
    ----------
    force_rms
        RMS of the force components to be learned, in eV/Å.
    """
    return [1.0, max(_SMALLEST_DELTA, _LINEAR_ABOVE * force_rms), 1.0]


RECIPES = {
    Purpose.FINE_TUNING: Recipe(
        start_option="--finetune",
        neighbour_statistics=False,
        atoms_per_batch=None,
        highest_learning_rate=1.0,
        loss=_SQUARED,
    ),
    Purpose.SCRATCH: Recipe(
        start_option=None,
        neighbour_statistics=True,
        atoms_per_batch=32,
        highest_learning_rate=1.0,
        loss=_HUBER,
    ),
    # The learning rate DP-GEN 2 has for a training that goes on (init_model_start_lr): the first one of a training from
    # scratch would undo what was learned.
    Purpose.CONTINUATION: Recipe(
        start_option="--init-model",
        neighbour_statistics=True,
        atoms_per_batch=32,
        highest_learning_rate=1e-4,
        loss=_HUBER,
    ),
}
