"""What rounds begin with: committed stages of copper, and a model that is a calculator and stays what it is."""

from __future__ import annotations

import dataclasses
import json
import shutil

from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.stage import StageRef
from pfd_worker import stage_files
from pfd_worker.families import DEEPMD
from pfd_worker.frames import Sampling
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.rounds.fine_tune import FineTuneRound
from tests.unit.worker.stages.label_tasks import crystals
from tests.unit.worker.stages.loop import EMT_ENGINE, Loop, aimd, single_point

FAMILY = dataclasses.replace(
    DEEPMD,
    open=lambda path: CalculatorModel(lambda: EMT(asap_cutoff=True)),
    shift_energy=lambda source, shifts, output: shutil.copyfile(source, output),
)


class UntrainedRound(FineTuneRound):
    """The model stays what it is."""

    def train(self, dataset, output):
        shutil.copyfile(self.shifted, output)


def prepared(loop: Loop) -> StageRef:
    """Commit a prepare stage with starts of copper, and a model that is a calculator."""
    starts = []
    for number in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.info = {"system": "copper", "start": number, "frame": 0, "variation": number}
        starts.append(atoms)
    files = {"starts.extxyz": starts, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"]), "model.pt": b"none"}
    params = {"stage": "prepare", "training": {"steps": 1}, "calculator": EMT_ENGINE["ase"]}
    return loop.committed(params, 0, files, {"elements": ["Cu"]})


def selected(loop: Loop) -> StageRef:
    """Commit a select stage with a single point and two AIMD trajectories from other structures."""
    runs = [aimd(number, steps=5, temperature_kelvin=600.0, timestep_fs=4.0, seed=40 + number) for number in (1, 2)]
    return loop.selected(crystals("Cu", "Cu", "Cu"), [single_point(0, Sampling.REPRESENTATIVE), *runs], iteration=0)
