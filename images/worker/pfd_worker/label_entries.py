"""The tasks of a label stage, with the keys under which their labels and failures are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from typing import Any

from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.engine import Engine
from pfd_operator.contract.selection import NOISE
from pfd_operator.contract.stage import LabelParams
from pfd_worker import stage_files
from pfd_worker.labelers.task import Calculation, Task
from pfd_worker.stage_context import StageContext
from pfd_worker.store.at_once import at_once
from pfd_worker.store.manifests import indexes_with_manifest, stored_manifest


@dataclass(frozen=True)
class Entry:
    """A task, by its number in the whole list."""

    number: int
    key: str
    task: Task
    calculation: Calculation
    engine: Engine
    described: dict[str, Any]
    """The engine with its content, as the key holds it."""
    own_key: str
    """Where a failure is kept that another stage, with more time or memory, or another time need not meet."""


def entries_of(
    context: StageContext, engine: Engine, tasks: Sequence[tuple[int, Task, Atoms]], but: Collection[str] = ()
) -> list[Entry]:
    """Return tasks with their keys, for an engine and for the tighter one of a noise check.

    Parameters
    ----------
    but
        Keys of labels that are not asked for.
    """
    # the spec names pseudopotentials and programs; what they are is known only where they are
    content = {"content": context.engine_content}
    params = context.params(LabelParams)
    tighter = params.tighter or engine
    engines = {False: (engine, engine.to_json() | content), True: (tighter, tighter.to_json() | content)}
    asked = []
    for number, task, frame in tasks:
        calculation = Calculation(frame, task.aimd)
        used, described = engines[task.purpose == NOISE]
        key = calculation.key(described)
        if key not in but:
            asked.append((number, key, task, calculation, used, described))
    final_for = _final_for(context, {number // params.frames_per_pod for number, *_ in asked})
    return [
        Entry(number, key, task, calculation, used, described, digest_of([key, *own]))
        for number, key, task, calculation, used, described in asked
        for own in [final_for[number // params.frames_per_pod]]
    ]


def _final_for(context: StageContext, indexes: Set[int]) -> dict[int, list[str]]:
    """Return for what failures in each of these indexes are final: the stage, and which time it is tried."""
    there = indexes & indexes_with_manifest(context.store, context.digest) if len(indexes) > 1 else indexes
    found = at_once(lambda index: stored_manifest(context.store, context.digest, index), there)
    again = {each.index: [each.files[stage_files.FAILURES].key] for each in found if each is not None and each.again}
    return {index: [context.spec.digest, *again.get(index, [])] for index in indexes}
