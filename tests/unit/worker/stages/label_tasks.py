"""Tasks of copper on a store in a folder, and the label stage on them."""

from __future__ import annotations

import json

from ase.build import bulk

from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageRef
from pfd_worker.frames import write_frames
from pfd_worker.label_desk import LabelDesk
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.loop import LABEL, Loop

AIMD = {"steps": 4, "temperature_kelvin": 300.0, "timestep_fs": 2.0, "seed": 9}


def select(loop: Loop, elements: tuple[str, ...] = ("Cu", "Cu", "Cu"), aimd: bool = True) -> StageRef:
    """Commit a select stage with one single point per element, and an AIMD trajectory from the first frame."""
    frames = []
    for number, element in enumerate(elements):
        frames.append(bulk(element, cubic=True))
        frames[-1].rattle(0.05, seed=number)
    tasks = [task("scf", number) for number in range(len(elements))]
    tasks += [task("aimd", 0) | AIMD] if aimd else []
    folder = loop.folder / "selected"
    folder.mkdir(exist_ok=True)
    write_frames(folder / "frames.extxyz", frames)
    (folder / "tasks.json").write_text(json.dumps(tasks))
    files = {name: folder / name for name in ("frames.extxyz", "tasks.json")}
    params = {"stage": "select", "purpose": "training", "frames": len(elements), "representativeFraction": 0}
    spec = loop.spec(params, 1, {"prepare": StageRef(digest="1" * 64)})
    commit(StageContext(spec, loop.store, folder), StageOutput(files=files), 0.0)
    return StageRef(digest=spec.digest)


def task(kind: str, frame: int) -> dict:
    named = {"purpose": "training", "sampling": "farthest"}
    named |= {"stratum": "s", "trajectory": f"t{frame}", "system": "copper"}
    return {"kind": kind, "frame": frame, **named}


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


def counts(loop: Loop, uid: str = "uid-1") -> dict[str, int]:
    return Ledger(loop.store, uid).count().model_dump()
