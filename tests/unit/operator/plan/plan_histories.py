"""Histories of a job in which whatever can happen does: lost, doubled, delayed, killed."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from tests.unit.operator.plan.plan_cluster import Cluster
from tests.unit.operator.plan.plan_scripts import thrive
from tests.unit.operator.plan.plan_workflows import Workflow

HAPPENINGS = (
    *("fail", "preempt", "work", "hear") * 5,
    *("reconcile", "deliver", "crash") * 2,
    *("control", "late", "wait", "wait", "terminate", "lose_result", "lose_node"),
    *("exhaust", "exhaust"),
    *("delete_job", "delete_job_in_background", "restart", "rewind", "move"),
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
MOVED = (("reconcile", 0), ("control", 0), ("deliver_all", 0), ("reconcile", 0), ("move", 0), *HEARD, ("work", 0))
"""To other nodes before anything has started; unseen, a pod starts all the same."""
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
MANY = settings(max_examples=4 * settings.default.max_examples)
"""1000 new ones in CI."""
