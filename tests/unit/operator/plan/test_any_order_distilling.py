"""The same of a distillation, in a file of its own: another process may play it at the same time."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pfd_operator.api.conditions import Phase
from tests.unit.operator.plan.plan_answers import EXPORTED
from tests.unit.operator.plan.plan_histories import HISTORIES, MANY, RESUMED, Script, play
from tests.unit.operator.plan.plan_scripts import run_to_the_end, settle
from tests.unit.operator.plan.plan_workflows import DISTILLING


@MANY
@given(st.integers(0, 12), HISTORIES)
@example(0, [*RESUMED])
def test_the_end_of_a_distillation_is_the_same(healthy: int, script: Script) -> None:
    cluster = play(DISTILLING, healthy, script)
    run_to_the_end(cluster)
    status = cluster.status
    assert (status.phase, status.iteration) == (Phase.CONVERGED, 2)
    assert [cluster.place(key) for key in cluster.recorded] == list(range(13))
    assert status.model is not None
    assert status.model.uri == EXPORTED
    settle(cluster)
