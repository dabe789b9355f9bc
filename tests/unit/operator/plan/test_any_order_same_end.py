"""Whatever is lost, doubled, delayed or killed: the same end, and never two live Jobs for one stage."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from plan_cluster import Cluster, place

from pfd_operator.api.conditions import Phase

HAPPENINGS = (
    *("thrive", "reconcile") * 5,
    *("work", "deliver", "crash", "preempt", "fail") * 3,
    *("control", "late", "wait", "lose_result", "lose_node", "delete_job", "suspend", "resume") * 2,
    *("deliver_all", "terminate", "stop", "go_on", "restart"),
)
UNSEEN_RESUME = (("resume", 0), ("reconcile", 0), ("reconcile", 0), ("control", 0))
"""A job resumed before the Job that was created ahead of its suspension is seen."""
Script = list[tuple[str, int]]


def happen(cluster: Cluster, what: str, number: int) -> None:
    match what:
        case "reconcile":
            cluster.reconcile()
        case "crash":
            cluster.reconcile(crash=1 + number % 3)
        case "wait":
            cluster.seconds += (1, 5, 30, 400)[number % 4]
        case "resume":
            cluster.edit(suspend=False)
        case "go_on":
            cluster.edit(stop=None)
        case "late":
            cluster.deliver_pods_late(number)
        case "control" | "deliver_all" | "restart":
            getattr(cluster, what)()
        case _:
            getattr(cluster, what)(number)


def play(script: Script) -> Cluster:
    cluster = Cluster()
    for what, number in script:
        happen(cluster, what, number)
        cluster.check()
    return cluster


@given(st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 7)), min_size=10, max_size=40))
@example([])
@example([("reconcile", 0), ("suspend", 0), ("reconcile", 0), ("reconcile", 0), *UNSEEN_RESUME])
@example([("thrive", 0), ("preempt", 0)] * 8)
@example([("thrive", 1), ("lose_node", 0), ("wait", 3)] * 8)
@example([("thrive", 2), ("crash", 0), ("thrive", 1), ("crash", 1), ("thrive", 1), ("crash", 2)] * 4)
def test_the_end_is_the_same(script: Script) -> None:
    cluster = play(script)
    cluster.run_to_the_end()
    status = cluster.status
    assert (status.phase, status.iteration, status.labels.paid) == (Phase.CONVERGED, 2, 12)
    assert [record.met for record in status.iterations] == [False, True, True]
    assert [place(key) for key in cluster.recorded] == list(range(13))
    assert status.model is not None
    assert status.model.iteration == 2
    cluster.settle()
