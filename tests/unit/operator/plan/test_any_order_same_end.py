"""Whatever is lost, doubled, delayed or killed: the same end, and never two live Jobs for one stage."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from plan_cluster import Cluster, place

from pfd_operator.api.conditions import Phase

HAPPENINGS = (
    *("reconcile",) * 6,
    *("work",) * 6,
    *("deliver",) * 4,
    *("control",) * 3,
    *("crash", "deliver_all", "late", "wait", "terminate") * 2,
    *("fail", "preempt", "lose_result", "lose_node", "delete_job", "suspend", "stop", "restart"),
)
Script = list[tuple[str, int]]


def happen(cluster: Cluster, what: str, number: int) -> None:
    match what:
        case "reconcile":
            cluster.reconcile()
        case "crash":
            cluster.reconcile(crash=1 + number % 3)
        case "wait":
            cluster.seconds += (1, 5, 30, 400)[number % 4]
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


@given(st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 7)), min_size=20, max_size=100))
@example([])
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
