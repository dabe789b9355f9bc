"""What counts as a GPU, and how a budget of time ends a job for as long as it is not raised."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.stage_pods import StagePods
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.budget import gpus_per_pod
from pfd_operator.plan.invalid_spec import invalid_status
from pfd_operator.plan.observed import ObservedPod
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.budget_samples import FOUR_PODS, done_pods
from tests.unit.operator.plan.plan_samples import (
    GPU,
    NEVER,
    SETTINGS,
    Run,
    after,
    condition,
    created,
    failed_pod,
    job_of,
    pod,
    resource,
)

CLAIM = {"resourceClaims": [{"name": "gpus", "resourceClaimName": "a", "gpus": 4}]}


@pytest.mark.parametrize(
    ("overrides", "gpus"),
    [
        ({}, 0),
        ({"resources": {"limits": {"cpu": 4, "nvidia.com/gpu": 2}}}, 2),
        ({"resources": {"limits": {"nvidia.com/mig-1g.10gb": "1"}}}, 1),
        ({"resources": {"limits": {"amd.com/gpu": 1}}}, 1),
        ({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "h100"}]}, 1),
        ({"resourceClaims": [{"name": "gpus", "resourceClaimName": "a", "gpus": 4}]}, 4),
        ({"resourceClaims": [{"name": "nic", "resourceClaimName": "b", "gpus": 0}]}, 0),
    ],
)
def test_gpus_of_a_pod(overrides: dict[str, Any], gpus: int) -> None:
    assert gpus_per_pod(resource(pods={"train": overrides}).spec, StageKind.TRAIN, SETTINGS) == gpus
    run = Run(resource(pods={"train": overrides}))
    assert run.until(0, StageKind.TRAIN).gpus == gpus


@pytest.mark.parametrize(("quantity", "gpus"), [(4, 4), ("2", 2), ("1k", 1000), ("1500m", 2), ("1e300", 999_999)])
def test_what_a_cluster_calls_its_gpus_shares_the_budget(quantity: str | int, gpus: int) -> None:
    others = StagePods(gpu_resources=["habana.ai/gaudi"])
    train = {"resources": {"limits": {"habana.ai/gaudi": quantity, "habana.ai/other": 1}}}
    run = Run(resource(pods={"train": train}, budget={"gpuHours": 1}), replace(SETTINGS, stage_pods=others))
    planned = run.until(0, StageKind.TRAIN)
    assert (planned.gpus, planned.active_deadline_seconds) == (gpus, math.ceil(3600 / gpus))


def test_a_claim_that_counts_for_less_since_is_booked_as_it_was() -> None:
    run = Run(resource(pods={"train": CLAIM}))
    planned = run.until(0, StageKind.TRAIN)
    running = job_of(planned, pod(started_at=after(run.seconds)), gpus=planned.gpus)
    run.edit(pods={"train": {"resourceClaims": [CLAIM["resourceClaims"][0] | {"gpus": 0}]}})
    run.step(running, seconds=100)
    run.edit(stop="Now")
    run.step(running)
    assert run.status.gpu_seconds == 400


def training_killed_after(seconds: float, **budget: Any) -> Run:
    """A training on one GPU whose pod reached its deadline; seconds are what its container had."""
    run = Run(resource(pods={"train": GPU}, budget={"maxIterations": 4, "maxLabels": 40, **budget}))
    planned = run.until(0, StageKind.TRAIN)
    end = run.seconds + seconds
    killed = replace(
        failed_pod(143, container_reason="DeadlineExceeded"), started_at=after(run.seconds), finished_at=after(end)
    )
    run.step(job_of(planned, killed), seconds=seconds)
    return run


@pytest.mark.parametrize(
    ("budget", "reason"), [({"gpuHours": 1}, "GpuBudgetExhausted"), ({"deadlineHours": 1}, "DeadlineExceeded")]
)
def test_seconds_that_are_left_do_not_reopen_a_job(budget: dict[str, float], reason: str) -> None:
    run = training_killed_after(3560, **budget)
    assert run.status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(run.status, ConditionType.READY).reason == reason
    for _ in range(3):
        decision = run.step(seconds=600)
        assert (decision.actions, decision.events, run.status.phase) == ((), (), Phase.BUDGET_EXHAUSTED)
    run.edit(budget={"maxIterations": 4, "maxLabels": 40, **dict.fromkeys(budget, 2)})
    again = created(run.step())
    assert (run.status.phase, again.spec.stage, again.spec.attempt) == (Phase.RUNNING, StageKind.TRAIN, 2)


@pytest.mark.parametrize(
    ("first", "raised", "phase", "reason"),
    [
        (
            {"maxIterations": 1, "maxLabels": 9},
            {"maxIterations": 5, "maxLabels": 9},
            Phase.BUDGET_EXHAUSTED,
            "LabelBudgetExhausted",
        ),
        (
            {"maxLabels": 9, "deadlineHours": 1},
            {"maxLabels": 40, "deadlineHours": 0.001},
            Phase.BUDGET_EXHAUSTED,
            "DeadlineExceeded",
        ),
        (
            {"maxLabels": 9},
            {"maxLabels": 40, "maxIterations": 1},
            Phase.MAX_ITERATIONS,
            "MaxIterationsReached",
        ),
    ],
)
def test_a_job_that_another_budget_keeps_from_going_on_says_which(
    first: dict[str, Any], raised: dict[str, Any], phase: Phase, reason: str
) -> None:
    run = Run(resource(convergence=NEVER, budget=first))
    ended = run.to_the_end()
    before = condition(ended, ConditionType.READY)
    assert run.step(seconds=5).events == ()
    run.edit(budget=raised)
    (told,) = run.step(seconds=5).events
    for kind in (ConditionType.READY, ConditionType.PROGRESSING):
        now = condition(run.status, kind)
        assert (now.reason, now.message) == (told.reason, told.message)
    assert before.reason != told.reason == reason
    assert (run.status.phase, run.status.finished_at) == (phase, ended.finished_at)
    assert run.step(seconds=5).events == ()
    run.edit(budget={"maxIterations": 5, "maxLabels": 40})
    assert created(run.step(seconds=5)).spec.iteration == 2


def test_rounding_does_not_reopen_a_job() -> None:
    run = Run(resource(pods={"prepare": GPU}, budget={"gpuHours": 1.1}))
    running = job_of(run.until(0, StageKind.PREPARE), pod())
    run.step(running, seconds=3960.3)
    # 1.1 h are 3960.0000000000005 s, and 3960 are booked
    assert (run.status.phase, run.status.gpu_seconds) == (Phase.BUDGET_EXHAUSTED, 3960)
    assert run.step(seconds=1).events == ()
    assert run.status.phase is Phase.BUDGET_EXHAUSTED


def test_a_spec_refused_meanwhile_does_not_reopen_a_job() -> None:
    run = training_killed_after(3560, gpuHours=1)
    run.status = invalid_status(run.status, "spec.pods: no", 2, after(run.seconds))
    assert run.step(seconds=1).status.phase is Phase.BUDGET_EXHAUSTED


@pytest.mark.parametrize("budget", [{"gpuHours": 1e6}, {"deadlineHours": 1e9}, {"gpuHours": 1e300}])
def test_a_large_budget_gives_a_deadline_that_kubernetes_takes(budget: dict[str, float]) -> None:
    run = Run(resource(pods={"prepare": GPU}, budget=budget))
    assert run.until(0, StageKind.PREPARE).active_deadline_seconds == 2**31 - 1


def test_what_others_did_not_use_is_for_the_pod_that_needs_it() -> None:
    run = Run(resource(**FOUR_PODS))
    planned = run.until(0, StageKind.EXPLORE)
    assert planned.active_deadline_seconds == 3600
    killed = failed_pod(143, name="killed", index=3, container_reason="DeadlineExceeded")
    killed = replace(killed, started_at=after(0), finished_at=after(3600))
    job = job_of(planned, *done_pods(planned, 3, 600), killed, succeeded_indexes=3)
    told = run.step(job, seconds=3600).events[0]
    assert told.reason == "StageRetried"
    assert "its share of the budget; 9000 s of the whole are left" in told.message
    assert "raised" not in told.message
    again = created(run.step())
    assert (again.spec.attempt, again.active_deadline_seconds) == (2, 9000)
    # preempted before the new Job has found the three again: they are done all the same
    preempted = failed_pod(85, name="killed", index=3, disrupted=True)
    run.step(replace(job_of(again, preempted), finished="Failed"))
    assert created(run.step()).active_deadline_seconds == 9000


def test_indexes_that_wait_for_others_take_no_share() -> None:
    run = Run(resource(**FOUR_PODS))
    planned = run.until(0, StageKind.LABEL)
    assert (planned.completions, planned.parallelism, planned.active_deadline_seconds) == (3, 2, 7200)
    gone = job_of(planned, *done_pods(planned, 2, 0), succeeded_indexes=2)
    run.step(gone)
    assert created(run.step(seconds=10)).active_deadline_seconds == 14400


def test_indexes_of_another_image_are_not_done() -> None:
    run = Run(resource(**FOUR_PODS))
    planned = run.until(0, StageKind.EXPLORE)
    run.step(job_of(planned, *done_pods(planned, 3, 0), succeeded_indexes=3))
    run.settings = replace(run.settings, worker_image="worker:2")
    assert created(run.step(seconds=10)).active_deadline_seconds == 3600


@pytest.mark.parametrize(
    ("overrides", "seen", "gpus"),
    [
        ({}, {"gpus": 8}, 8),
        (GPU, {"gpus": 0}, 0),
        (GPU, {}, 1),
        (CLAIM, {"gpus": 2}, 2),
        (CLAIM, {}, 4),
    ],
    ids=["spec has fewer", "spec has more", "not known", "claim has more", "claim not known"],
)
def test_what_a_job_has_is_booked_whatever_the_spec_says_now(
    overrides: dict[str, Any], seen: dict[str, Any], gpus: int
) -> None:
    run = Run(resource(pods={"prepare": overrides}))
    running = job_of(run.until(0, StageKind.PREPARE), pod(), **seen)
    run.step(running, seconds=100)
    run.edit(stop="Now")
    run.step(running, seconds=100)
    assert run.status.gpu_seconds == 200 * gpus


def test_the_time_of_gone_pods_is_kept_in_the_status_and_booked_with_the_attempt() -> None:
    run = Run(resource(pods={"prepare": GPU}))
    planned = run.until(0, StageKind.PREPARE)
    gone = job_of(planned, gone_pods_seconds=100.4)
    run.step(gone)
    assert run.status.active is not None
    assert run.status.active.gone_pods_seconds == 100
    # another operator may have seen less of it
    run.step(replace(gone, gone_pods_seconds=0.0))
    assert run.status.active.gone_pods_seconds == 100
    run.step(replace(gone, pods=(failed_pod(),)))
    again = created(run.step(seconds=600))
    assert (run.status.gpu_seconds, run.status.active.gone_pods_seconds) == (100, 0)
    run.step(job_of(again, gone_pods_seconds=50.0))
    # the Job was deleted while no operator watched
    run.step()
    assert run.status.gpu_seconds == 150


def test_the_budget_of_a_running_job_is_watched_by_what_it_has() -> None:
    run = Run(resource(budget={"gpuHours": 1}))
    running = job_of(run.until(0, StageKind.PREPARE), pod(), gpus=2)
    assert run.step(running, seconds=600).requeue_after_seconds == 1200


MANY_PODS = {
    "exploration": {"stages": [{"temperaturesKelvin": [300 + 10 * n for n in range(32)]}], "pods": 32},
    "pods": {"explore": GPU},
}


def killed_pods(run: Run, planned: PlannedJob, late: float, seconds: float) -> list[ObservedPod]:
    """Pods that reached their deadline, and whose containers ran for the last of it, if at all."""
    begun, end = run.seconds + late, run.seconds + seconds
    ran: dict[str, Any] = (
        {"started_at": after(begun), "finished_at": after(end)} if late < seconds else {"started_at": None}
    )
    return [
        replace(failed_pod(143, name=f"p{n}", index=n, container_reason="DeadlineExceeded"), **ran)
        for n in range(planned.completions or 1)
    ]


def test_shares_that_are_too_small_for_the_pods_to_start_are_no_reason_to_try_again() -> None:
    run = Run(resource(**MANY_PODS, budget={"maxIterations": 4, "maxLabels": 40, "gpuHours": 1}))
    planned = run.until(0, StageKind.EXPLORE)
    share = planned.active_deadline_seconds or 0
    # 5 s of each share went by before a container ran: 160 s of the whole are left, and 5 s for each pod
    run.step(job_of(planned, *killed_pods(run, planned, 5, share)), seconds=share)
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.BUDGET_EXHAUSTED, "GpuBudgetExhausted")
    assert "spec.budget.gpuHours leaves too little for another attempt" in ready.message
    # somewhat more is still not enough for 32 pods
    run.edit(budget={"maxIterations": 4, "maxLabels": 40, "gpuHours": 1.1})
    assert run.step(seconds=1).status.phase is Phase.BUDGET_EXHAUSTED
    run.edit(budget={"maxIterations": 4, "maxLabels": 40, "gpuHours": 2})
    assert (created(run.step(seconds=1)).active_deadline_seconds or 0) > 100


@pytest.mark.parametrize("waiting", ["ImagePullBackOff", None])
def test_pods_whose_share_ends_before_they_start_are_tried_again_only_so_often(waiting: str | None) -> None:
    run = Run(resource(**FOUR_PODS | {"budget": {"gpuHours": 0.5}}))
    planned = run.until(0, StageKind.EXPLORE)
    for _ in range(SETTINGS.max_counted_failures):
        assert planned.active_deadline_seconds == 450 < SETTINGS.stuck_after_seconds
        pending = [pod("Pending", name=f"p{n}", index=n, started_at=None, waiting_reason=waiting) for n in range(4)]
        run.step(job_of(planned, *pending))
        run.step(job_of(planned, *killed_pods(run, planned, 450, 450)), seconds=450)
        if run.status.phase is Phase.FAILED:
            break
        planned = created(run.step(seconds=300))
    ready = condition(run.status, ConditionType.READY)
    assert (run.status.phase, ready.reason) == (Phase.FAILED, "AttemptsExhausted")
    assert ("ImageCannotBePulled" if waiting else "PodPending") in ready.message


@pytest.mark.parametrize("budget", [{}, {"gpuHours": 1}], ids=["none", "of GPUs, which it has not"])
def test_a_deadline_that_the_cluster_sets_is_nobodys_fault_and_makes_no_loop(budget: dict[str, float]) -> None:
    run = Run(resource(budget=budget))
    planned = run.until(0, StageKind.TRAIN)
    assert planned.active_deadline_seconds is None
    begun = run.seconds
    for number in range(3):
        ran: dict[str, Any] = {"started_at": after(run.seconds), "finished_at": after(run.seconds + 1)}
        killed = replace(failed_pod(143, container_reason="DeadlineExceeded"), **ran)
        told = run.step(job_of(planned, killed), seconds=1).events[0]
        assert (told.reason, run.status.phase) == ("StageRetried", Phase.RUNNING)
        assert "inf" not in told.message and "which spec.budget did not set" in told.message
        planned = created(run.step(seconds=SETTINGS.backoff_seconds << number))
    assert run.status.active is not None and run.status.active.counted_failures == 0
    assert run.seconds - begun >= 70
