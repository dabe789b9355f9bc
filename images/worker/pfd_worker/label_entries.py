"""The tasks of an index of a label stage, with the keys under which their labels and failures are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.engine import Engine
from pfd_operator.contract.selection import NOISE
from pfd_operator.contract.stage import LabelParams
from pfd_worker import stage_files
from pfd_worker.label_files import tasks_of
from pfd_worker.labelers.task import Calculation, Task
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import stored_manifest


@dataclass(frozen=True)
class Entry:
    """A task of an index, by its number in the whole list."""

    number: int
    key: str
    task: Task
    calculation: Calculation
    engine: Engine
    described: dict[str, Any]
    """The engine with its content, as the key holds it."""
    own_key: str
    """Where a failure is kept that another stage, with more time or memory, or another time need not meet."""


def entries_of_index(context: StageContext, engine: Engine, index: int) -> list[Entry]:
    """Return the tasks of an index, for an engine and for the tighter one of a noise check."""
    # the spec names pseudopotentials and programs; what they are is known only where they are
    content = {"content": context.engine_content}
    tighter = context.params(LabelParams).tighter or engine
    engines = {False: (engine, engine.to_json() | content), True: (tighter, tighter.to_json() | content)}
    before = stored_manifest(context.store, context.digest, index)
    final_for = [context.spec.digest]
    if before is not None and before.again:
        final_for.append(before.files[stage_files.FAILURES].key)
    entries = []
    for number, task, frame in tasks_of(context, index):
        calculation = Calculation(frame, task.aimd)
        used, described = engines[task.purpose == NOISE]
        key = calculation.key(described)
        own_key = digest_of([key, *final_for])
        entries.append(Entry(number, key, task, calculation, used, described, own_key))
    return entries
