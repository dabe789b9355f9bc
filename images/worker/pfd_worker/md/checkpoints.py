"""Trajectories of one pod in the object store, as far as they have come: what its next attempt goes on from.

Each checkpoint is one object more. It has what came since the one before, and the newest state of what still runs, so
that no frame is stored twice.
"""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.result import ExitCode
from pfd_worker.errors import StageError
from pfd_worker.frames import bare
from pfd_worker.md.state import MdState, Reached, TrajectoryOutcome
from pfd_worker.store.objects import ObjectStore

CHECKPOINT_SECONDS = 60.0
"""What a pod that is killed outright may lose, about. A checkpoint costs one request and writes nothing twice."""
_log = logging.getLogger(__name__)


@dataclass
class _Progress:
    """Of a trajectory of this attempt or the one before."""

    outcome: TrajectoryOutcome
    state: MdState | None
    frames: int
    """That it had when it was in this state: its thread goes on."""
    steps: int
    exploded: int | None = None
    reason: str | None = None
    stored_frames: int = 0
    stored_steps: int = 0
    ended: bool = False
    """Its end is stored."""


class MdCheckpoints:
    """The trajectories of one pod; threads of several may tell of theirs.

    Parameters
    ----------
    objects
        The stage's object store.
    folder
        Key prefix of this pod's checkpoints.
    starts
        Trajectory → its start.
    seconds
        Between checkpoints.
    """

    def __init__(self, objects: ObjectStore, folder: str, starts: Mapping[str, Atoms], seconds: float) -> None:
        self._objects = objects
        self._folder = folder
        self._starts = starts
        self._seconds = seconds
        self._lock = threading.Lock()
        self._progress: dict[str, _Progress] = {}
        self._parts = 0
        self._saved = time.monotonic()

    def load(self) -> int:
        """Read what an earlier attempt has left; return the MD steps in it."""
        keys = self._objects.list(self._folder)
        for number, key in enumerate(keys):
            try:
                self._take(self._objects.get(key) or b"")
            except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile) as error:
                # cut short, or of a pod on a node that was lost, which went on beside its successor
                _log.warning("%s is left out: %s: %s", self._objects.uri(key), type(error).__name__, error)
                for other in keys[number:]:
                    self._objects.delete(other)
                break
            self._parts += 1
        return sum(progress.steps for progress in self._progress.values())

    def of(self, name: str) -> _KeptTrajectory:
        """Return where a trajectory tells how far it has come."""
        return _KeptTrajectory(self, name)

    def begun(self, name: str) -> Reached | None:
        """Return how far a trajectory has come."""
        found = self._progress.get(name)
        return None if found is None else Reached(found.outcome, found.state)

    def reached(self, name: str, outcome: TrajectoryOutcome, state: MdState | None) -> None:
        """Take note of a trajectory, and store all of them if it is time; a store that is away is asked again then.

        Raises
        ------
        StageError
            If the store will not take a later one either, as with keys that have expired: what runs on would be lost.
        """
        with self._lock:
            progress = self._progress.setdefault(name, _Progress(outcome, state, 0, 0))
            progress.outcome, progress.state = outcome, state
            progress.frames, progress.steps = len(outcome.frames), outcome.steps_done
            progress.exploded, progress.reason = outcome.exploded_at_step, outcome.reason
            if time.monotonic() - self._saved < self._seconds:
                return
            try:
                self._store()
            except StageError as error:
                if error.exit_code is not ExitCode.TRANSIENT:
                    raise
                _log.warning("no checkpoint was stored: %s", error)
            self._saved = time.monotonic()

    def save(self) -> int:
        """Store what is not stored yet; return the MD steps that are.

        Raises
        ------
        StageError
            If the store does not take it.
        """
        with self._lock:
            self._store()
            return sum(progress.stored_steps for progress in self._progress.values())

    def _store(self) -> None:
        fresh = {
            name: progress
            for name, progress in self._progress.items()
            if progress.steps > progress.stored_steps or (progress.state is None and not progress.ended)
        }
        if not fresh:
            return
        self._objects.put(f"{self._folder}part-{self._parts:06d}.npz", _packed(fresh))
        self._parts += 1
        for progress in fresh.values():
            progress.stored_frames, progress.stored_steps = progress.frames, progress.steps
            progress.ended = progress.state is None

    def _take(self, content: bytes) -> None:
        """Add a part to what was read before it.

        Raises
        ------
        ValueError
            If it does not follow on that, beside all that damaged files raise.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as part:
            told = json.loads(str(part["about"][()]))
            taken = {each["name"]: self._read(part, number, each) for number, each in enumerate(told)}
        self._progress |= taken

    def _read(self, part: Mapping[str, NDArray[Any]], number: int, told: dict[str, Any]) -> _Progress:
        name, start = told["name"], self._starts[told["name"]]
        before = self._progress.get(name)
        if told["after"] != (0 if before is None else before.steps):
            raise ValueError(f"{name} goes on after step {told['after']}, which is not where the part before ends")
        frames = [] if before is None else list(before.outcome.frames)
        frames += _frames(start, part[f"{number}.positions"], part[f"{number}.cells"], told["frames"])
        outcome = TrajectoryOutcome(frames, told["steps"], told["exploded"], told["reason"])
        if outcome.exploded_at_step is not None and frames:
            frames[-1].info["brink"] = True
        state = None
        if told["state"] is not None:
            arrays = {key: part[f"{number}.state.{key}"] for key in told["state"]}
            if arrays["positions"].shape != start.positions.shape:
                raise ValueError(f"{name} has another number of atoms")
            state = MdState(told["begun"], arrays, told["random"])
        come = (len(frames), told["steps"])
        return _Progress(outcome, state, *come, told["exploded"], told["reason"], *come, state is None)


@dataclass(frozen=True)
class _KeptTrajectory:
    """One of them."""

    checkpoints: MdCheckpoints
    name: str

    def begun(self) -> Reached | None:
        return self.checkpoints.begun(self.name)

    def reached(self, outcome: TrajectoryOutcome, state: MdState | None) -> None:
        self.checkpoints.reached(self.name, outcome, state)


def _packed(fresh: Mapping[str, _Progress]) -> bytes:
    """Return a part: arrays by the number of their trajectory, and what is no array as JSON."""
    about, arrays = [], {}
    for number, (name, progress) in enumerate(fresh.items()):
        frames, state = progress.outcome.frames[progress.stored_frames : progress.frames], progress.state
        about.append(
            {
                "name": name,
                "after": progress.stored_steps,
                "steps": progress.steps,
                "exploded": progress.exploded,
                "reason": progress.reason,
                "frames": [_info(atoms) for atoms in frames],
                "state": None if state is None else list(state.arrays),
                "begun": None if state is None else state.begun_ev,
                "random": None if state is None else state.random,
            }
        )
        arrays[f"{number}.positions"] = np.array([atoms.positions for atoms in frames])
        arrays[f"{number}.cells"] = np.array([atoms.cell.array for atoms in frames])
        if state is not None:
            arrays |= {f"{number}.state.{key}": values for key, values in state.arrays.items()}
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
    return packed.getvalue()


def _info(atoms: Atoms) -> dict[str, Any]:
    # whether it is the last one before an explosion is known at the end, when it may be stored already
    return {**atoms.info, "reference_cell": atoms.info["reference_cell"].tolist(), "brink": False}


def _frames(
    start: Atoms, positions: NDArray[np.float64], cells: NDArray[np.float64], infos: Sequence[dict[str, Any]]
) -> list[Atoms]:
    frames = []
    for mine, cell, info in zip(positions, cells, infos, strict=True):
        atoms = bare(start)
        atoms.set_cell(cell)
        atoms.set_positions(mine)
        atoms.info = {**info, "reference_cell": np.array(info["reference_cell"])}
        frames.append(atoms)
    return frames
