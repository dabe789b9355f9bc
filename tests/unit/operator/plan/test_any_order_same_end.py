"""Whatever is lost, doubled, delayed or killed: the same end, and never two live Jobs for one stage."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pfd_operator.api.conditions import Phase
from tests.unit.operator.plan.plan_histories import (
    CAME_AND_WENT,
    HISTORIES,
    MANY,
    MOVED,
    NO_PODS,
    PREEMPTED,
    RESUMED,
    RUNNING,
    SUSPENDED,
    UNSEEN,
    Script,
    play,
)
from tests.unit.operator.plan.plan_scripts import run_to_the_end, settle
from tests.unit.operator.plan.plan_workflows import FINE_TUNING


@MANY
@given(st.integers(0, 12), HISTORIES)
@example(0, [])
@example(0, [*UNSEEN])
@example(0, [*RESUMED])
@example(3, [*RESUMED])
@example(0, [*SUSPENDED])
@example(0, [("reconcile", 0), ("deliver_all", 0), *NO_PODS])
@example(0, [*PREEMPTED] * 5)
@example(0, [*CAME_AND_WENT])
@example(0, [*MOVED])
@example(3, [*MOVED])
@example(0, [*RUNNING, ("lose_node", 0), ("deliver_all", 0), ("reconcile", 0), ("wait", 3), *RUNNING])
def test_the_end_is_the_same(healthy: int, script: Script) -> None:
    cluster = play(FINE_TUNING, healthy, script)
    run_to_the_end(cluster)
    status = cluster.status
    assert (status.phase, status.iteration, status.labels.paid) == (Phase.CONVERGED, 2, 12)
    assert [record.met for record in status.iterations] == [False, True, True]
    assert [cluster.place(key) for key in cluster.recorded] == list(range(13))
    assert status.model is not None
    assert status.model.iteration == 2
    settle(cluster)
