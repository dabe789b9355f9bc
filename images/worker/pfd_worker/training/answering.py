"""The trainers of deepmd-kit and sevenn, made to save between two steps when that is asked for; see `on_request`.

Saving draws no random numbers and changes no parameter: a training with requests is the training without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from pfd_worker.models.sevennet_checkpoint import load_checkpoint
from pfd_worker.training.on_request import answer, is_asked

INTERRUPTED = "interrupted_epoch"
"""Key of a checkpoint of SevenNet that was written within an epoch: random state at its start, and batches done."""


def deepmd_answers() -> None:
    """Let `dp train` answer before it fetches the batch of the next step."""
    from deepmd.pt.train.training import Trainer

    next_batch, steps_here = Trainer._next_training_batch, count()

    def answered(trainer: Any, task_key: str) -> Any:
        here = next(steps_here)
        wanted = here > 0 and is_asked(Path.cwd())
        if trainer.sharding.enabled:
            # each process has a part of what is saved
            wanted = trainer._broadcast_value_from_rank0(wanted)
        if wanted and (trainer.rank == 0 or trainer.sharding.enabled):
            _save_deepmd(trainer, trainer.start_step + here)
        return next_batch(trainer, task_key)

    Trainer._next_training_batch = answered


def _save_deepmd(trainer: Any, done: int) -> None:
    trainer.nonfinite_grad_guard.raise_if_nonfinite(trainer.wrapper.named_parameters)
    last_step = done - 1

    def write(path: Path) -> None:
        # as deepmd-kit itself: a restart does this step once more
        trainer.save_model(path, lr=trainer.lr_schedule.value(last_step), step=last_step)

    if trainer.rank == 0:
        answer(Path.cwd(), done, write)
    else:
        write(Path.cwd())


def sevennet_answers() -> None:
    """Let `sevenn train` answer between batches, and go on within an epoch where a checkpoint says so."""
    from sevenn.scripts import processing_epoch

    train = processing_epoch.processing_epoch_v2

    def answered(
        config: dict[str, Any], trainer: Any, loaders: dict[str, Any], start_epoch: int, **options: Any
    ) -> Any:
        start = config["continue"]
        interrupted = None if start["reset_epoch"] else load_checkpoint(Path(start["checkpoint"])).get(INTERRUPTED)

        def save(path: Path, epoch: int, state: dict[str, Any]) -> None:
            trainer.write_checkpoint(str(path), config=config, epoch=epoch, **{INTERRUPTED: state})

        batches = _Batches(loaders["trainset"], start_epoch - 1, interrupted, save)
        return train(config, trainer, {**loaders, "trainset": batches}, start_epoch, **options)

    processing_epoch.processing_epoch_v2 = answered


class _Batches:
    """The batches of all epochs, in the loader's own order.

    Parameters
    ----------
    loader
        Its order is drawn from torch's random numbers when an epoch begins.
    epochs
        That are done.
    interrupted
        Of `INTERRUPTED`, if the first epoch has begun already.
    save
        Path, epochs done, value for `INTERRUPTED`.
    """

    def __init__(
        self,
        loader: Any,
        epochs: int,
        interrupted: dict[str, Any] | None,
        save: Callable[[Path, int, dict[str, Any]], None],
    ) -> None:
        self._loader = loader
        self._epochs = epochs
        self._interrupted = interrupted
        self._save = save
        self._steps_here = 0

    def __iter__(self) -> Iterator[Any]:
        import torch

        done_before = 0
        if self._interrupted is not None:
            torch.set_rng_state(self._interrupted["random_state"])
            done_before, self._interrupted = self._interrupted["batches"], None
        random_state = torch.get_rng_state()
        for done, batch in enumerate(self._loader):
            if done < done_before:
                continue
            if self._steps_here and is_asked(Path.cwd()):
                self._answer(done, random_state)
            yield batch
            self._steps_here += 1
        self._epochs += 1

    def _answer(self, done: int, random_state: Any) -> None:
        state = {"random_state": random_state, "batches": done}
        step = self._epochs * len(self._loader) + done
        answer(Path.cwd(), step, lambda path: self._save(path, self._epochs, state))
