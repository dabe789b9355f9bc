"""What a label stage finds, and what it leaves for those that follow: tasks; labels, what failed and why, who paid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.stage import Input, LabelParams
from pfd_worker import stage_files
from pfd_worker.frames import energy_of, frame_places, labelled, parse_frames, read_frames, virial_of, write_frames
from pfd_worker.labelers.base import LASTING_FAILURES
from pfd_worker.labelers.task import Task
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.at_once import at_once
from pfd_worker.store.ledger import BookEntry
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import LabelSummary

_FRAMES_AT_ONCE = 100
"""In a request: as text they take many times the memory that they do as frames."""


@dataclass(frozen=True)
class Failure:
    """A task that failed; of AIMD the steps before are labels."""

    task: int
    """Its number in the whole list."""
    key: str
    reason: str
    message: str
    """The engine's last lines, for people."""

    @property
    def lasting(self) -> bool:
        """Whether whoever computes the label meets it again."""
        return self.reason in LASTING_FAILURES


def write_tasks(path: Path, tasks: Sequence[Task]) -> None:
    """Write what select asks for."""
    path.write_text(json.dumps([task.to_json() for task in tasks]))


def read_tasks(context: StageContext, select: Input = Input.SELECT) -> list[Task]:
    """Return what select asks for, of all indexes."""
    path = context.fetch(context.one(select), stage_files.TASKS)
    return [Task.from_json(entry) for entry in json.loads(path.read_text())]


def tasks_of(context: StageContext, tasks: Sequence[Task], index: int | None) -> list[tuple[int, Task, Atoms]]:
    """Return tasks of a label stage, each after its number in the whole list, and with its frame.

    Parameters
    ----------
    tasks
        Those of all indexes.
    index
        Whose are returned; None for those of all.
    """
    numbered = list(enumerate(tasks))
    if index is not None:
        each = context.params(LabelParams).frames_per_pod
        numbered = numbered[index * each : (index + 1) * each]
    frames = _frames(context, sorted({task.frame for _, task in numbered}))
    return [(number, task, frames[task.frame]) for number, task in numbered]


def write_frame_places(frames: Path, path: Path) -> None:
    """Write where in the file of frames each of them is: a label pod fetches its own only."""
    path.write_text(json.dumps(frame_places(frames)))


def _frames(context: StageContext, rows: Sequence[int]) -> dict[int, Atoms]:
    select = context.one(Input.SELECT)
    if stage_files.FRAME_PLACES not in select.files:
        # an earlier version selected
        found = read_frames(context.fetch(select, stage_files.FRAMES))
        return {row: found[row] for row in rows}
    places: list[tuple[int, int, str]] = json.loads(context.fetch(select, stage_files.FRAME_PLACES).read_text())
    runs = [
        [places[row] for _, row in run]
        for _, run in groupby(enumerate(rows), key=lambda pair: (pair[1] - pair[0], pair[0] // _FRAMES_AT_ONCE))
    ]
    parts = at_once(lambda run: parse_frames(context.fetch_parts(select, stage_files.FRAMES, run)), runs)
    frames = [atoms for part in parts for atoms in part]
    return dict(zip(rows, frames, strict=True))


def label_output(
    context: StageContext,
    labels: Sequence[Atoms],
    failures: Sequence[Failure],
    books: Sequence[BookEntry],
    reused: int = 0,
) -> StageOutput:
    """Return labels and failures of an index as the stage's files.

    Parameters
    ----------
    books
        What the index's labels cost.
    reused
        Labels that were found in the store.
    """
    files = {name: context.workdir / name for name in (stage_files.LABELS, stage_files.FAILURES)}
    write_frames(files[stage_files.LABELS], labels)
    files[stage_files.FAILURES].write_text(json.dumps([asdict(failure) for failure in failures], indent=1))
    return StageOutput(
        files=files,
        summary=LabelSummary(labels=[asdict(entry) for entry in books]),
        outcome=LabelOutcome(failed=len(failures), reused=reused),
    )


def read_labels(context: StageContext, manifests: Sequence[Manifest]) -> tuple[list[Atoms], list[Failure]]:
    """Return the labels and failures of a label stage's indexes."""
    found = context.fetch_all(manifests, stage_files.LABELS)
    labels = [atoms for path in found for atoms in read_frames(path)]
    return labels, [failure for mine in read_failures(context, manifests) for failure in mine]


def read_failures(context: StageContext, manifests: Sequence[Manifest]) -> list[list[Failure]]:
    """Return the failures of each of a label stage's indexes."""
    paths = context.fetch_all(manifests, stage_files.FAILURES)
    return [[Failure(**each) for each in json.loads(path.read_text())] for path in paths]


def frame_to_json(frame: Atoms) -> dict[str, Any]:
    """Return a labelled frame as a label's record holds it."""
    virial = virial_of(frame)
    return {
        "numbers": frame.numbers.tolist(),
        "cell": frame.cell.array.tolist(),
        "positions": frame.positions.tolist(),
        "pbc": frame.pbc.tolist(),
        "energy": energy_of(frame),
        "forces": frame.get_forces().tolist(),
        "virial": None if virial is None else virial.tolist(),
    }


def frame_from_json(frame: dict[str, Any], info: dict[str, Any]) -> Atoms:
    """Return what `frame_to_json` was given, with what is to be known of it besides."""
    atoms = Atoms(frame["numbers"], positions=frame["positions"], cell=frame["cell"], pbc=frame["pbc"])
    atoms.info = dict(info)
    virial = None if frame["virial"] is None else np.array(frame["virial"])
    return labelled(atoms, frame["energy"], np.array(frame["forces"]), virial)
