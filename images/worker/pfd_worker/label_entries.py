"""The tasks of a label stage, with the keys under which their labels and failures are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
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
from pfd_worker.store.manifests import stored_manifest


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


def entries_of(context: StageContext, engine: Engine, tasks: Sequence[tuple[int, Task, Atoms]]) -> list[Entry]:
    """Return tasks with their keys, for an engine and for the tighter one of a noise check."""
    # the spec names pseudopotentials and programs; what they are is known only where they are
    content = {"content": context.engine_content}
    params = context.params(LabelParams)
    tighter = params.tighter or engine
    engines = {False: (engine, engine.to_json() | content), True: (tighter, tighter.to_json() | content)}
    pods = sorted({number // params.frames_per_pod for number, _, _ in tasks})
    final_for = dict(zip(pods, at_once(partial(_final_for, context), pods), strict=True))
    entries = []
    for number, task, frame in tasks:
        calculation = Calculation(frame, task.aimd)
        used, described = engines[task.purpose == NOISE]
        key = calculation.key(described)
        own_key = digest_of([key, *final_for[number // params.frames_per_pod]])
        entries.append(Entry(number, key, task, calculation, used, described, own_key))
    return entries


def _final_for(context: StageContext, index: int) -> list[str]:
    before = stored_manifest(context.store, context.digest, index)
    if before is None or not before.again:
        return [context.spec.digest]
    return [context.spec.digest, before.files[stage_files.FAILURES].key]
