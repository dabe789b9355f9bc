"""Conditions of MD, and what is remarked on them."""

from __future__ import annotations

import pytest

from pfd_operator.contract.exploration import Exploration
from pfd_worker.md.conditions import long_timestep


@pytest.mark.parametrize(
    ("with_hydrogen", "timesteps_fs", "told"),
    [
        (["water", "ice"], {0.5: None, 2.0: None}, True),
        (["water"], {0.5: None, 1.0: None}, False),
        ([], {2.0: None}, False),
        (["water"], {0.5: ["water"], 2.0: ["metal"]}, False),
        (["water"], {0.5: ["metal"], 2.0: ["metal", "water"]}, True),
    ],
)
def test_steps_too_long_for_hydrogen_are_remarked(
    with_hydrogen: list[str], timesteps_fs: dict[float, list[str] | None], told: bool
) -> None:
    stages = [
        {"temperaturesKelvin": [300], "timestepFs": timestep, "systems": systems}
        for timestep, systems in timesteps_fs.items()
    ]
    remark = long_timestep(Exploration.model_validate({"stages": stages}), with_hydrogen)
    assert (remark is not None) is told
    if remark is not None:
        assert remark.message.startswith("spec.exploration has steps of 2 fs")
