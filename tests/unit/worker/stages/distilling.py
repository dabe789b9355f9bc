"""Settings of a small student, and what a distillation takes from its teacher's job."""

from __future__ import annotations

from typing import Any

from pfd_operator.contract.stage import StageRef
from tests.unit.worker.stages.loop import Loop, ref

STUDENT = {
    "model": {
        "descriptor": {
            "type": "se_e2_a", "sel": "auto:1.5", "rcut": 4.0, "rcut_smth": 0.5, "neuron": [4, 8], "axis_neuron": 4,
            "type_one_side": True,
        },
        "fitting_net": {"neuron": [16, 16]},
    },
    "compress": True,
}  # fmt: skip
TRAINING = {"steps": 60, "checkpointSeconds": 5, "learningRateStart": 1e-3, "learningRateStop": 1e-5}
LABEL = {"stage": "label", "framesPerPod": 4, "timeoutSeconds": 60}


def manifest_uri(loop: Loop, digest: str) -> str:
    return loop.store.uri(f"stages/{digest}/manifest.json")


def select(loop: Loop, iteration: int, inputs: dict[str, StageRef], frames: int, purpose: str) -> StageRef:
    fraction = 1.0 if purpose == "hold-out" else 0.5
    contacts = 0 if purpose == "hold-out" else 0.25
    params: dict[str, Any] = {
        "stage": "select", "purpose": purpose, "frames": frames, "representativeFraction": fraction,
        "closeContactFraction": contacts, "minDistanceFactor": 0.6,
    }  # fmt: skip
    return ref(loop.run(params, iteration, inputs))
