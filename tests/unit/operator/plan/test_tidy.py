"""Which Jobs stay: of a job that runs those of two iterations, of one that has ended the last and the failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.observed import ObservedJob
from pfd_operator.plan.tidy import KEPT_JOBS
from pfd_operator.plan.types import CreateJob, DeleteJob
from tests.unit.operator.plan.plan_cluster import Cluster
from tests.unit.operator.plan.plan_samples import (
    NEVER,
    START,
    Run,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
    succeeded,
)
from tests.unit.operator.plan.plan_scripts import run_to_the_end, settle
from tests.unit.operator.plan.plan_workflows import FINE_TUNING


def history(run: Run, iteration: int, stage: StageKind) -> list[ObservedJob]:
    """Walk there; return the finished Jobs of all stages on the way."""
    jobs: list[ObservedJob] = []
    run.step()
    while (planned := created(run.decision)).spec.iteration != iteration or planned.spec.stage is not stage:
        ended = succeeded(planned)
        jobs.append(replace(ended, finished="Complete", created_at=START + timedelta(seconds=run.seconds)))
        run.step(ended, seconds=1)
    return jobs


def deletions(run: Run) -> list[DeleteJob]:
    return [action for action in run.decision.actions if isinstance(action, DeleteJob)]


def names(jobs: Iterable[ObservedJob]) -> set[str]:
    return {job.name for job in jobs}


def deleted(run: Run) -> set[str]:
    """Return the names of the Jobs that are deleted as ones that have ended."""
    return {action.name for action in deletions(run) if action.ended}


def test_an_iteration_begins_and_the_one_before_the_last_goes() -> None:
    run = Run(resource(convergence=NEVER))
    done = history(run, 2, StageKind.EXPLORE)
    run.step(*done, job_of(created(run.decision), pod(index=0)))
    first = [job for job in done if job.iteration == 0]
    assert len(first) == 5
    assert deleted(run) == names(first)
    assert {action.uid for action in deletions(run)} == {job.uid for job in first}


def test_the_last_job_stays_when_all_went_well() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 1, "maxLabels": 40}))
    done = history(run, 1, StageKind.TRAIN)
    last = succeeded(created(run.decision))
    run.step(*done, replace(last, created_at=START + timedelta(seconds=99)))
    assert run.status.phase.terminal
    assert deleted(run) == names(done)


def test_failed_jobs_stay_with_their_logs() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 1, "maxLabels": 40}))
    done = history(run, 1, StageKind.TRAIN)
    planned = created(run.decision)
    failed = job_of(planned, failed_pod(exit_code=70), name="failed", uid="failed", attempt=1, finished="Failed")
    select = next(job for job in done if (job.iteration, job.stage) == (1, StageKind.SELECT))
    broken = replace(select, name="broken", uid="broken", pods=(failed_pod(),), finished="Failed")
    again = replace(select, name="again", uid="again", attempt=2)
    others = [job for job in done if job is not select]
    run.step(*others, broken, again, failed, replace(succeeded(planned), created_at=START + timedelta(seconds=99)))
    assert deleted(run) == names([*others, again])


def test_jobs_that_went_well_go_also_when_their_pods_went_before_with_their_nodes() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 1, "maxLabels": 40}))
    done = [replace(job, pods=()) for job in history(run, 1, StageKind.TRAIN)]
    run.step(*done, replace(succeeded(created(run.decision)), created_at=START + timedelta(seconds=99)))
    assert run.status.phase.terminal
    assert deleted(run) == names(done)


def test_many_attempts_at_one_stage_do_not_pile_up() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    old = [
        job_of(planned, failed_pod(), name=f"old-{i:02d}", uid=f"old-{i:02d}", attempt=100 + i, finished="Failed")
        for i in range(KEPT_JOBS + 2)
    ]
    stranger = job_of(planned, pod(), name="stranger", uid="stranger", attempt=99)
    run.step(*old, stranger, job_of(planned, pod()))
    assert deleted(run) == {"old-00", "old-01"}
    assert {action.name for action in deletions(run) if not action.ended} == {"stranger"}


def test_what_is_deleted_is_not_deleted_again() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 1, "maxLabels": 40}))
    done = history(run, 1, StageKind.TRAIN)
    last = replace(succeeded(created(run.decision)), created_at=START + timedelta(seconds=99))
    run.step(*done, last)
    run.step(*(replace(job, deleting=True) for job in done), last)
    assert not deletions(run)
    run.step(last)
    assert run.decision.actions == ()


def test_one_job_is_left_of_a_cluster_and_a_restart_goes_on_without_the_others() -> None:
    cluster = Cluster(FINE_TUNING)
    run_to_the_end(cluster)
    settle(cluster)
    assert [job.key for job in cluster.jobs.values()] == [(2, StageKind.TRAIN)]
    cluster.rewind(1)
    run_to_the_end(cluster)
    settle(cluster)
    assert cluster.status.iteration == 2
    assert len(cluster.jobs) == 1


def test_the_next_job_is_asked_for_together_with_the_deletions() -> None:
    run = Run(resource(convergence=NEVER))
    done = history(run, 1, StageKind.TRAIN)
    run.step(*done, succeeded(created(run.decision)))
    assert {type(action) for action in run.decision.actions} == {CreateJob, DeleteJob}
