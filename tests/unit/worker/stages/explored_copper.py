"""Copper that EMT has explored, for the stages explore and select: no training, so no torch."""

import json
from pathlib import Path

import numpy as np
from ase.build import bulk

from pfd_operator.contract.stage import StageRef
from pfd_worker import stage_files
from tests.unit.worker.stages.loop import EMT_ENGINE, Loop, explore_params

GIVEN_CELL = 3.7 * np.eye(3) + 0.01 * np.arange(9).reshape(3, 3)
EVEN = {"stage": "select", "purpose": "training", "frames": 8, "representativeFraction": 0.25}
HELD_OUT = {**EVEN, "purpose": "hold-out", "frames": 24, "representativeFraction": 1.0}
MODEL = ("prepare", "model")


def explored_copper(folder: Path) -> tuple[Loop, dict[str, StageRef]]:
    """Return a loop with MD of copper at two temperatures, and the stages that select reads."""
    loop = Loop(folder)
    starts = []
    for number in range(4):
        starts.append(bulk("Cu", cubic=True))
        starts[-1].rattle(0.05, seed=number)
        starts[-1].info = {"system": "copper", "start": number, "frame": 0, "variation": number, "slab": False}
        starts[-1].info["reference_cell"] = GIVEN_CELL
    files = {stage_files.STARTS: starts, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"])}
    prepare = loop.committed(EVEN, 0, files, {"elements": ["Cu"]})
    explore = loop.indexed(explore_params("training"), 1, {"prepare": prepare, "model": prepare}, 2)
    return loop, {"prepare": prepare, "explore": explore}
