"""Stretches of a miniature cluster's life in which everything goes well: for a while, to the end, and after it."""

from __future__ import annotations

from pfd_operator.api.conditions import Phase
from tests.unit.operator.plan.plan_cluster import Cluster


def run_to_the_end(cluster: Cluster) -> None:
    """Nothing happens any more but good work: the job must come to its end."""
    cluster.edit(suspend=False, stop=None)
    for _ in range(400):
        cluster.deliver_all()
        cluster.reconcile()
        cluster.check()
        if cluster.status.phase.terminal:
            return
        cluster.control()
        for number in range(6):
            cluster.terminate(0)
            cluster.work(number)
        cluster.control()
        cluster.seconds += 20
    raise AssertionError(f"no end: {cluster.status.phase} {cluster.status.active} {cluster.view}")


def thrive(cluster: Cluster, number: int) -> None:
    """For a while everything goes well."""
    cycles = number
    for _ in range(cycles):
        cluster.deliver_all()
        cluster.reconcile()
        cluster.check()
        cluster.control()
        for pod in range(3):
            cluster.terminate(0)
            cluster.work(pod)
        cluster.control()
        cluster.seconds += 10
    if cluster.status.phase is not Phase.RUNNING and cluster.status.phase is not Phase.PENDING:
        assert not [job for job in cluster.jobs.values() if job.live(cluster.now)], f"live while {cluster.status.phase}"


def settle(cluster: Cluster) -> None:
    """Let what still goes, go."""
    for _ in range(6):
        cluster.deliver_all()
        cluster.reconcile()
        cluster.control()
        for _ in range(6):
            cluster.terminate(0)
    assert not [job for job in cluster.jobs.values() if job.live(cluster.now)], "something still runs"
    assert cluster.status.phase is Phase.CONVERGED
