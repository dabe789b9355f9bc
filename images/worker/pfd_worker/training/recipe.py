"""What differs between fine-tuning, training from scratch and going on with an earlier student: all of it is here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


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

    def batch_size(self, given: int) -> int | str:
        """Return it as deepmd-kit takes it: `auto:N` is the fewest frames of a system that hold N atoms."""
        return given if self.atoms_per_batch is None else f"auto:{given * self.atoms_per_batch}"


def frames_of_batch(batch_size: int | str, atoms: int) -> int:
    """Return how many frames of so many atoms a batch holds; `batch_size` is that of `Recipe.batch_size`."""
    if isinstance(batch_size, int):
        return batch_size
    return math.ceil(int(batch_size.removeprefix("auto:")) / atoms)


RECIPES = {
    Purpose.FINE_TUNING: Recipe(
        start_option="--finetune",
        neighbour_statistics=False,
        atoms_per_batch=None,
        highest_learning_rate=1.0,
    ),
    Purpose.SCRATCH: Recipe(
        start_option=None,
        neighbour_statistics=True,
        atoms_per_batch=32,
        highest_learning_rate=1.0,
    ),
    # The learning rate DP-GEN 2 has for a training that goes on (init_model_start_lr): the first one of a training from
    # scratch would undo what was learned.
    Purpose.CONTINUATION: Recipe(
        start_option="--init-model",
        neighbour_statistics=True,
        atoms_per_batch=32,
        highest_learning_rate=1e-4,
    ),
}
