"""Trajectories of the hold-out: enough that its frames say something each."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pfd_operator.contract.tasks import md_tasks
from pfd_operator.plan.rounds import explored
from pfd_operator.plan.strata import HOLDOUT_TRAJECTORIES
from tests.unit.operator.plan.plan_samples import resource


@given(
    temperatures=st.integers(1, 12), replicas=st.integers(1, 20), systems=st.integers(1, 4), frames=st.integers(4, 40)
)
def test_a_hold_out_is_of_as_many_trajectories_as_it_has_frames_or_of_eight(temperatures, replicas, systems, frames):
    stage = {"temperaturesKelvin": list(range(300, 300 + temperatures)), "replicas": replicas}
    spec = resource(exploration={"stages": [stage]}, holdout={"frames": frames}, budget={"maxLabels": 999}).spec
    names = [f"s{number}" for number in range(systems)]
    held_out, training = (md_tasks(names, explored(spec, names, n).exploration, 1) for n in (0, 1))
    wanted, there = min(frames, HOLDOUT_TRAJECTORIES), temperatures * replicas * systems
    assert len(training) == there
    assert len(held_out) >= max(there, wanted)
    # as many in each stratum, and no more than that takes
    assert len(set(Counter(task.stratum for task in held_out).values())) == 1
    assert len(held_out) == there or len(held_out) - there < wanted
