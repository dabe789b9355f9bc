"""What rounds begin with: committed stages of copper, and a model that is a calculator and stays what it is."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from typing import Any, TypeVar

from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageRef, TrainParams
from pfd_worker import stage_files
from pfd_worker.families import DEEPMD, Family
from pfd_worker.frames import Sampling
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.rounds.base import Round
from pfd_worker.rounds.course import run_round
from pfd_worker.rounds.fine_tune import FineTuneRound
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.label_tasks import crystals
from tests.unit.worker.stages.loop import (
    EMT_ENGINE,
    EXPLORATION,
    LABEL,
    TRAIN,
    Loop,
    aimd,
    explore_params,
    ref,
    single_point,
)

TIGHTER = {"ase": {"calculator": "ase.calculators.emt:EMT", "parameters": {"asap_cutoff": True}}}
FAMILY = dataclasses.replace(
    DEEPMD,
    open=lambda path: CalculatorModel(lambda: EMT(asap_cutoff=True)),
    shift_energy=lambda source, shifts, output: shutil.copyfile(source, output),
)


Kind = TypeVar("Kind", bound=Round)


class UntrainedRound(FineTuneRound):
    """The model stays what it is."""

    def train(self, dataset, output):
        shutil.copyfile(self.shifted, output)


def round_of(
    loop: Loop,
    number: int,
    inputs: dict[str, StageRef],
    kind: type[Kind],
    family: Family = FAMILY,
    **changes: Any,
) -> Kind:
    """Return a round in a folder of its own, on committed stages."""
    spec = loop.spec(TRAIN | changes, number, inputs)
    context = StageContext(spec, loop.store, loop.folder / f"train-{number}")
    context.workdir.mkdir()
    return kind(context, context.params(TrainParams), family)


def prepared(loop: Loop, given: Sequence[Atoms] = (), holdout: Sequence[Atoms] = ()) -> StageRef:
    """Commit a prepare stage with starts of copper, a model that is a calculator, and frames of the user."""
    starts = []
    for number in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.info = {"system": "copper", "start": number, "frame": 0, "variation": number}
        starts.append(atoms)
    files = {"starts.extxyz": starts, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"]), "model.pt": b"none"}
    files |= {stage_files.GIVEN_DATA: given} if given else {}
    files |= {stage_files.HOLD_OUT: holdout} if holdout else {}
    params = {"stage": "prepare", "training": {"steps": 1}, "calculator": EMT_ENGINE["ase"]}
    return loop.committed(params, 0, files, {"elements": ["Cu"]})


def selected(loop: Loop) -> StageRef:
    """Commit a select stage with a single point and two AIMD trajectories from other structures."""
    runs = [aimd(number, steps=5, temperature_kelvin=600.0, timestep_fs=4.0, seed=40 + number) for number in (1, 2)]
    return loop.selected(crystals("Cu", "Cu", "Cu"), [single_point(0, Sampling.REPRESENTATIVE), *runs], iteration=0)


def iteration(
    loop: Loop,
    number: int,
    prepare: StageRef,
    select: dict,
    train: StageRef | None,
    kind: type[FineTuneRound] = UntrainedRound,
) -> StageResult:
    """Run the stages of an iteration; return what its round tells."""
    purpose = "training" if number else "hold-out"
    before = {} if train is None else {"train": train}
    # the hold-out's MD has more trajectories, as the operator asks for
    stages = [stage | {"replicas": 1 if number else 2} for stage in EXPLORATION["stages"]]
    asked = explore_params(purpose) | {"exploration": EXPLORATION | {"stages": stages}}
    explore = loop.indexed(asked, number, {"prepare": prepare, "model": prepare}, EXPLORATION["pods"])
    chosen = loop.run(
        {"stage": "select", "purpose": purpose, **select}, number, {"prepare": prepare, "explore": explore, **before}
    )
    labels = loop.indexed(LABEL | {"tighter": TIGHTER}, number, {"select": ref(chosen)}, 1)
    return trained(loop, number, {"prepare": prepare, "select": ref(chosen), "label": labels, **before}, kind)


def trained(
    loop: Loop, number: int, inputs: dict[str, StageRef], kind: type[FineTuneRound] = UntrainedRound
) -> StageResult:
    """Run the round of an iteration; return what it tells."""
    begun = round_of(loop, number, inputs, kind)
    return commit(begun.context, run_round(begun), 0.0).result
