"""Conditions of MD, and what is remarked on them."""

from __future__ import annotations

import pytest

from pfd_operator.contract.exploration import Exploration
from pfd_worker.md.conditions import long_timestep


@pytest.mark.parametrize(
    ("elements", "timesteps_fs", "told"),
    [
        (["H", "O"], [0.5, 2.0], True),
        (["H", "O"], [0.5, 1.0], False),
        (["O", "Si"], [2.0], False),
        (["He"], [2.0], False),
    ],
)
def test_steps_too_long_for_hydrogen_are_remarked(elements: list[str], timesteps_fs: list[float], told: bool) -> None:
    stages = [{"temperaturesKelvin": [300], "timestepFs": timestep} for timestep in timesteps_fs]
    remark = long_timestep(Exploration.model_validate({"stages": stages}), elements)
    assert (remark is not None) is told
    if remark is not None:
        assert remark.message.startswith("spec.exploration has steps of 2 fs")
