"""Trajectories that step together: a model computes the frames of all of them in one batch.

One small cell at a time leaves a GPU idle: it waits for the next kernel to be launched. Each trajectory runs in a
thread of its own, as if it were alone, with a calculator that hands its frame in; when all that still run have handed
in theirs, they are computed at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from ase import Atoms
from ase.calculators.calculator import Calculator

from pfd_worker.models.base import AtomisticModel, Prediction, model_calculator
from pfd_worker.models.one_by_one import predictions_or_errors

_Outcome = TypeVar("_Outcome")
_log = logging.getLogger(__name__)

TRAJECTORIES_AT_MOST = 64
"""Beyond, the integrators' own time, some tenths of a ms for a step of each, is what there is to wait for."""


class AbandonedError(Exception):
    """Trajectories were ended on their way: the stage is to stop, or another one has failed in a way that ends it."""


def trajectories_together(model: AtomisticModel, starts: Sequence[Atoms]) -> int:
    """Return how many trajectories from these starts should step together.

    Parameters
    ----------
    starts
        The largest counts.
    """
    most = model.atoms_together // max(map(len, starts), default=1)
    return max(1, min(len(starts), TRAJECTORIES_AT_MOST, most))


def run_together(
    model: AtomisticModel,
    runs: Sequence[Callable[[Calculator], _Outcome]],
    together: int,
    stopping: threading.Event,
) -> list[_Outcome]:
    """Run all, so many at a time, and return what they return, in their order.

    What a run computes does not depend on when threads come to their turn: a batch holds a frame of each run that has
    begun and not ended, in their order. Against a run by itself a batch differs in the last bits.

    Parameters
    ----------
    model
        Computes them.
    runs
        Called with a calculator each.
    together
        How many at a time; with one, each has the model's own calculator.
    stopping
        When set, several are abandoned after the step they are at. One is not: it looks itself.

    Raises
    ------
    AbandonedError
        If `stopping` has ended them.
    Exception
        The first that a run raised; the others are abandoned at their next step.
    """
    if together == 1:
        calculator = model.calculator()
        return [run(calculator) for run in runs]
    batch = _Batch(model, together)
    waiting = iter(enumerate(runs))
    with ThreadPoolExecutor(together) as threads:
        try:
            members = [threads.submit(_run_in_turn, batch, waiting) for _ in range(together)]
            batch.answer_until_all_left(stopping)
        finally:
            batch.abandon()  # else they would wait for ever, where this thread was interrupted
    done: dict[int, _Outcome] = {}
    for member in members:
        done |= member.result()
    if len(done) < len(runs):
        raise AbandonedError
    return [done[number] for number in range(len(runs))]


def _run_in_turn(batch: _Batch, waiting: Iterator[tuple[int, Callable[[Calculator], _Outcome]]]) -> dict[int, _Outcome]:
    done: dict[int, _Outcome] = {}
    try:
        for number, run in waiting:
            done[number] = run(model_calculator(partial(batch.ask, number)))
    except AbandonedError:
        pass
    except BaseException:
        batch.abandon()
        raise
    finally:
        batch.leave()
    return done


class _Batch:
    """Where threads hand in frames and wait for what the model says of them."""

    def __init__(self, model: AtomisticModel, members: int) -> None:
        self._model = model
        self._members = members
        self._abandoned = False
        self._told = False
        self._asked: dict[int, Atoms] = {}
        self._answers: dict[int, Prediction | Exception] = {}
        lock = threading.Lock()
        # two, as every step of every trajectory would else wake all that wait
        self._all_asked = threading.Condition(lock)
        self._answered = threading.Condition(lock)

    def ask(self, number: int, atoms: Atoms) -> Prediction:
        """Hand in a frame of a run and wait; raise what the model raised for it."""
        with self._answered:
            self._asked[number] = atoms
            if len(self._asked) == self._members:
                self._all_asked.notify()
            self._answered.wait_for(lambda: self._abandoned or number in self._answers)
            if self._abandoned:
                raise AbandonedError
            answer = self._answers.pop(number)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def leave(self) -> None:
        """Say that a thread hands in no more."""
        with self._all_asked:
            self._members -= 1
            self._all_asked.notify()

    def abandon(self) -> None:
        """End all others at their next frame."""
        with self._all_asked:
            self._abandoned = True
            self._all_asked.notify()
            self._answered.notify_all()

    def answer_until_all_left(self, stopping: threading.Event) -> None:
        """Compute batch after batch, in this thread: torch keeps processors' threads for each that calls it."""
        while not stopping.is_set():
            with self._all_asked:
                self._all_asked.wait_for(lambda: len(self._asked) == self._members or self._abandoned)
                if self._abandoned or not self._members:
                    return
                numbers = sorted(self._asked)
                frames = [self._asked.pop(number) for number in numbers]
            answers = predictions_or_errors(self._model, frames, self._model.predict_moving, self._tell_once)
            with self._answered:
                self._answers.update(zip(numbers, answers, strict=True))
                self._answered.notify_all()

    def _tell_once(self, error: Exception) -> None:
        # of atoms gone to infinity, once; of a fault of ours, at every step
        if not self._told:
            _log.warning("several frames at once: %s: %s; one after another", type(error).__name__, error)
            self._told = True
