"""Tasks of copper on a store in a folder, and the label stage on them."""

from __future__ import annotations

import json

from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageRef
from pfd_worker.label_desk import LabelDesk
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.in_process import AseLabeler
from pfd_worker.labelers.task import Calculation
from pfd_worker.stage_context import StageContext
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.loop import LABEL, Loop, aimd, single_point

ABINIT = {"abinit": {"cutoffEv": 200, "kSpacing": 1, "pseudopotentials": {"Cu": "Cu.psp8"}}}
"""An engine with an image of its own."""
POD = LABEL | {"engine": ABINIT}


def crystals(*elements: str) -> list[Atoms]:
    """Return crystals whose atoms are moved a little, each in another way."""
    frames = []
    for number, element in enumerate(elements):
        frames.append(bulk(element, cubic=True))
        frames[-1].rattle(0.05, seed=number)
    return frames


def select(loop: Loop, elements: tuple[str, ...] = ("Cu", "Cu", "Cu"), trajectory: bool = True) -> StageRef:
    """Commit a select stage with one single point per element, and an AIMD trajectory from the first frame."""
    tasks = [single_point(number) for number in range(len(elements))]
    return loop.selected(crystals(*elements), [*tasks, *([aimd(0, steps=4)] if trajectory else [])])


def label(loop: Loop, selected: StageRef, **changes) -> StageResult:
    return loop.run(LABEL | changes, 1, {"select": selected}, index=0)


def context_of(loop: Loop, selected: StageRef, name: str = "desk", params: dict | None = None) -> StageContext:
    workdir = loop.folder / name
    workdir.mkdir()
    return StageContext(loop.spec(params or LABEL, 1, {"select": selected}), loop.store, workdir, index=0)


def desk_of(context: StageContext) -> LabelDesk:
    engine = context.spec.params.engine
    assert engine is not None
    return LabelDesk(context, engine)


def held(loop: Loop) -> list[str]:
    """Return what keeps others from computing: claims that were not given back, and what says that owners live."""
    newest = {name.rpartition("/")[0]: name for name in loop.store.list("claims/") if "/cut-off/" not in name}
    return [name for name in newest.values() if not json.loads(loop.store.get(name) or b"").get("released")]


def counts(loop: Loop, uid: str = "uid-1") -> dict[str, int]:
    return Ledger(loop.store, uid).count().model_dump()


class Fails:
    """A labeler that ends in one way until it is told otherwise."""

    def __init__(self, reason: LabelFailure) -> None:
        self.reason: LabelFailure | None = reason
        self.calls = 0

    def compute(self, task: Calculation) -> Verdict:
        self.calls += 1
        if self.reason:
            return Verdict(reason=self.reason, message="its last words")
        return AseLabeler(EMT).compute(task)
