"""Whatever is lost, doubled, delayed or killed: the same end, and never two live Jobs for one stage."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from plan_cluster import Cluster
from plan_samples import EXPORTED
from plan_scripts import run_to_the_end, settle, thrive
from plan_workflows import DISTILLING, FINE_TUNING, Workflow

from pfd_operator.api.conditions import Phase

HAPPENINGS = (
    *("fail", "preempt", "work", "hear") * 5,
    *("reconcile", "deliver", "crash") * 2,
    *("control", "late", "wait", "wait", "terminate", "lose_result", "lose_node"),
    *("delete_job", "delete_job_in_background", "restart", "rewind"),
    *("suspend", "resume", "resume", "stop", "go_on", "go_on"),
)
HEARD = ("reconcile", 0), ("reconcile", 0)
"""The first is told that the resource changed meanwhile, the second acts on it."""
UNSEEN = (("reconcile", 0), ("suspend", 0), *HEARD, ("resume", 0), *HEARD, ("control", 0))
"""Resumed before the Job that was created ahead of the suspension is seen."""
RUNNING = (("deliver_all", 0), ("reconcile", 0), ("control", 0), ("work", 0), ("deliver_all", 0), ("reconcile", 0))
RESUMED = (*RUNNING, ("suspend", 0), *HEARD, ("resume", 0), *HEARD, *RUNNING)
SUSPENDED = (*RUNNING, ("suspend", 0), *HEARD, ("thrive", 2))
PREEMPTED = (*RUNNING, ("preempt", 0), ("deliver_all", 0), ("reconcile", 0), ("wait", 2))
NO_PODS = (("reconcile", 0), ("suspend", 0), ("reconcile", 0), ("crash", 1), ("resume", 0), *HEARD, ("control", 0))
"""The operator dies between writing that the attempt ended and deleting its Job, which has no pod yet."""
CAME_AND_WENT = (("reconcile", 0), ("control", 0), ("delete_job_in_background", 0), ("reconcile", 0))
"""Somebody deletes the Job before the operator sees it."""
Script = list[tuple[str, int]]


def happen(cluster: Cluster, what: str, number: int) -> None:
    match what:
        case "reconcile":
            cluster.reconcile()
        case "crash":
            cluster.reconcile(crash=1 + number % 3)
        case "wait":
            cluster.seconds += (1, 5, 30, 400)[number % 4]
        case "hear":
            cluster.deliver_all()
            cluster.reconcile()
            cluster.control()
        case "suspend":
            cluster.edit(suspend=True)
        case "resume":
            cluster.edit(suspend=False)
        case "go_on":
            cluster.edit(stop=None)
        case "thrive":
            thrive(cluster, number)
        case "late":
            cluster.deliver_pods_late(number)
        case "control" | "deliver_all" | "restart":
            getattr(cluster, what)()
        case _:
            getattr(cluster, what)(number)


def play(workflow: Workflow, healthy: int, script: Script) -> Cluster:
    cluster = Cluster(workflow)
    thrive(cluster, healthy)
    for what, number in script:
        happen(cluster, what, number)
        cluster.check()
    return cluster


HISTORIES = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 7)), min_size=30, max_size=60)


@given(st.integers(0, 12), HISTORIES)
@example(0, [])
@example(0, [*UNSEEN])
@example(0, [*RESUMED])
@example(3, [*RESUMED])
@example(0, [*SUSPENDED])
@example(0, [("reconcile", 0), ("deliver_all", 0), *NO_PODS])
@example(0, [*PREEMPTED] * 5)
@example(0, [*CAME_AND_WENT])
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
