"""Walking the loop: stages, what they are told, budgets, ends, and going on after them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.api.status import KEPT_RECORDS, FineTuneJobStatus
from pfd_operator.contract.digest import canonical_json, digest_of
from pfd_operator.contract.result import Progress, StageResult
from pfd_operator.contract.stage import ExploreParams, PrepareParams, SelectParams, StageKind, StageSpec, TrainParams
from pfd_operator.plan.names import JOB_NAME_MAX, job_name
from pfd_operator.plan.spec_digest import spec_digest
from pfd_operator.plan.types import CreateConfigMap, CreateJob
from tests.stage_results import labels_after
from tests.unit.operator.plan.plan_answers import good_result, talkative_result, with_found
from tests.unit.operator.plan.plan_samples import (
    NEVER,
    SETTINGS,
    START,
    Run,
    condition,
    created,
    job_of,
    pod,
    resource,
    succeeded,
)


def test_from_start_to_converged() -> None:
    run = Run()
    status = run.to_the_end()
    assert status.phase is Phase.CONVERGED
    assert condition(status, ConditionType.READY).status == "True"
    assert "2 iterations in a row" in condition(status, ConditionType.READY).message
    assert [record.met for record in status.iterations] == [False, True, True]
    assert status.model is not None
    assert status.model.errors is not None
    assert (status.model.uri, status.model.errors.force_rmse) == ("s3://pfd/silicon/stages/2/best.pt", "0.04")
    assert isinstance(status, FineTuneJobStatus)
    assert set(status.baselines) == {"pretrained", "shifted"}
    assert (status.labels.paid, status.labels.budget) == (12, 40)
    assert status.active is None
    assert status.finished_at is not None


def test_what_the_stages_are_told() -> None:
    run = Run()
    prepare = run.until(0, StageKind.PREPARE)
    assert isinstance(prepare.spec.params, PrepareParams)
    assert prepare.spec.params.systems[0].structures == "/etc/pfd/structures/diamond/diamond.extxyz"
    assert CreateConfigMap("silicon-5f0c-structures", {"diamond.extxyz": "2\n\nSi 0 0 0\nSi 1 1 1\n"}) in (
        run.decision.actions
    )
    assert prepare.spec.progress_url == f"http://operator:8080/progress/lab/{prepare.name}"
    explore = run.until(0, StageKind.EXPLORE)
    assert isinstance(explore.spec.params, ExploreParams)
    assert (explore.spec.params.purpose, explore.completions) == ("hold-out", 2)
    assert explore.spec.inputs["model"].digest == "cd" * 32
    select = run.until(0, StageKind.SELECT)
    assert isinstance(select.spec.params, SelectParams)
    assert (select.spec.params.frames, select.spec.params.aimd is not None) == (4, True)
    assert select.spec.params.representative_fraction == 1
    assert select.spec.inputs["explore"].completions == 2
    label = run.until(0, StageKind.LABEL)
    assert (label.completions, label.parallelism) == (3, 2)
    train = run.until(0, StageKind.TRAIN)
    assert set(train.spec.inputs) == {"prepare", "label", "select"}
    later = run.until(1, StageKind.EXPLORE)
    assert later.spec.inputs["model"].digest == train.spec.digest
    select = run.until(1, StageKind.SELECT)
    assert isinstance(select.spec.params, SelectParams)
    assert (select.spec.params.purpose, select.spec.params.frames, select.spec.params.aimd) == ("training", 3, None)
    assert select.spec.params.representative_fraction == 0.5
    assert "train" in run.until(1, StageKind.TRAIN).spec.inputs


@pytest.mark.parametrize(("training", "continues"), [({}, None), ({"startFrom": "Best"}, True)])
def test_iterations_train_from_the_pretrained_model_or_the_best_one_as_asked(
    training: dict[str, Any], continues: bool | None
) -> None:
    run = Run()
    run.edit(training=training)
    train = run.until(1, StageKind.TRAIN)
    assert isinstance(train.spec.params, TrainParams)
    assert train.spec.params.continues is continues
    assert not hasattr(train.spec.params.training, "start_from"), "the training itself is the same setting"


def test_the_same_job_under_another_name_has_the_same_stages() -> None:
    digests = []
    for uid in ("aaaa", "bbbb"):
        run = Run(replace(resource(), name=f"other-{uid}", uid=uid))
        run.to_the_end()
        digests.append([record.digest for record in run.status.stages])
    assert digests[0] == digests[1]


def test_the_last_labels_are_asked_for_and_then_the_budget_is_used_up() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 9, "maxLabels": 10}))
    select = run.until(2, StageKind.SELECT)
    assert isinstance(select.spec.params, SelectParams)
    assert select.spec.params.frames == 1
    run.step(succeeded(select))
    status = run.to_the_end()
    assert status.phase is Phase.BUDGET_EXHAUSTED
    assert condition(status, ConditionType.READY).reason == "LabelBudgetExhausted"
    assert status.model is not None
    run.edit(budget={"maxIterations": 9, "maxLabels": 100})
    assert created(run.step(seconds=1000)).spec.iteration == 3
    assert run.status.phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("budget", "phase"),
    [
        ({"maxIterations": 9, "maxLabels": 15}, Phase.BUDGET_EXHAUSTED),
        ({"maxIterations": 3, "maxLabels": 40}, Phase.MAX_ITERATIONS),
    ],
)
def test_a_budget_that_ends_first_says_how_many_labels_the_limit_would_take(
    budget: dict[str, Any], phase: Phase
) -> None:
    def answer(spec: StageSpec, reused: bool = False) -> StageResult:
        result = good_result(spec, reused)
        if spec.stage is not StageKind.TRAIN:
            return result
        return with_found(result, training_frames=labels_after(spec.iteration) - 4)

    run = Run(resource(convergence={"forceRMSE": 0.02}, budget=budget))
    run.answer = answer
    status = run.to_the_end()
    ready = condition(status, ConditionType.READY)
    assert (status.phase, ready.status) == (phase, "False")
    # 2, 5, 8 and 11 frames with 0.2, 0.067, 0.04 and 0.029 eV/Å
    assert "the limit of 0.02 eV/Å for the force RMSE on the hold-out takes about 15 frames" in ready.message
    assert "11 are there, about 4 more are needed" in ready.message


def test_max_iterations_says_what_is_missing_and_goes_on_when_raised() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 1, "maxLabels": 100}))
    status = run.to_the_end()
    assert (status.phase, status.iteration) == (Phase.MAX_ITERATIONS, 1)
    message = condition(status, ConditionType.READY).message
    assert "the force RMSE on the new labels is 0.06667 eV/Å" in message
    assert "above the limit of 1e-06" in message
    assert run.step().actions == ()
    run.edit(budget={"maxIterations": 2, "maxLabels": 100})
    assert created(run.step()).spec.iteration == 2
    assert run.to_the_end().iteration == 2


def test_a_start_that_does_not_fit_the_budget_is_refused_until_it_does() -> None:
    run = Run(resource(budget={"maxIterations": 4, "maxLabels": 5}))
    decision = run.step()
    assert decision.actions == ()
    ready = condition(run.status, ConditionType.READY)
    assert ready.reason == "SpecInvalid"
    assert "spec.budget.maxLabels is 5, but the start alone needs 6" in ready.message
    assert run.step().events == ()
    run.edit(budget={"maxIterations": 4, "maxLabels": 6})
    assert created(run.step()).spec.stage is StageKind.PREPARE


def test_strata_that_no_holdout_frame_can_be_of_are_refused() -> None:
    stages = [{"temperaturesKelvin": [300, 600, 900], "pressuresBar": [1, 10000]}]
    run = Run(resource(exploration={"stages": stages}, convergence={"forceRMSE": 0.1, "everyStratum": True}))
    run.step()
    message = condition(run.status, ConditionType.READY).message
    assert "each of 6 systems, temperatures and pressures, but the hold-out has only 4 frames" in message
    run.edit(holdout={"frames": 6})
    assert created(run.step()).spec.stage is StageKind.PREPARE


def test_a_hold_out_larger_than_all_frames_of_the_md_is_refused() -> None:
    stages = [{"temperaturesKelvin": [300, 600], "steps": 25, "sampleEvery": 10}]
    run = Run(resource(exploration={"stages": stages}, holdout={"frames": 17}))
    run.step()
    message = condition(run.status, ConditionType.READY).message
    assert "asks for 17 frames" in message and "all trajectories of the exploration together give 8" in message
    run.edit(holdout={"frames": 4})
    assert created(run.step()).spec.stage is StageKind.PREPARE


def test_sevennet_runs_in_its_own_image_and_its_labels_where_they_always_do() -> None:
    run = Run(resource(model={"pretrained": "7net-0"}))
    run.settings = replace(run.settings, calculator_image="worker-sevennet:1")
    images = {}
    for iteration, stage in [(0, StageKind.PREPARE), (0, StageKind.LABEL), (0, StageKind.TRAIN)]:
        images[stage] = run.until(iteration, stage).worker_image
    assert images == {
        StageKind.PREPARE: "worker-sevennet:1",
        StageKind.LABEL: "worker:1",
        StageKind.TRAIN: "worker-sevennet:1",
    }


def test_an_engine_without_image_is_refused() -> None:
    engine = {"abinit": {"cutoffEv": 300, "kSpacing": 0.3, "pseudopotentials": {"Si": "Si.psp8"}}}
    run = Run(resource(labeling={"engine": engine}))
    run.step()
    assert "spec.labeling.image" in condition(run.status, ConditionType.READY).message
    run.settings = replace(SETTINGS, engine_images={"abinit": "abinit:9"})
    assert created(run.step()).spec.stage is StageKind.PREPARE


def test_a_changed_frozen_part_starts_nothing_new() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.edit(training={"template": {"model": {"descriptor": {"rcut": 5}}}})
    decision = run.step(succeeded(planned))
    assert decision.actions == ()
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "True"
    spec = resource().spec
    assert isinstance(spec, FineTuneJobSpec)
    run.edit(training=spec.training.to_json())
    assert created(run.step()).spec.stage is StageKind.EXPLORE
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"


@pytest.mark.parametrize("ended", [False, True])
def test_an_operator_with_other_defaults_sees_no_change_where_nobody_made_one(
    monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    """The API server keeps the old default in the resource, so the digest becomes another."""
    run = Run(resource(convergence={"forceRMSE": 1e-6}, budget={"maxIterations": 1, "maxLabels": 40}))
    run.until(0, StageKind.LABEL)
    if ended:
        run.to_the_end()
    monkeypatch.setattr("pfd_operator.plan.draft.spec_digest", lambda spec: digest_of(["now", spec_digest(spec)]))
    run.step(seconds=1)
    run.edit(budget={"maxIterations": 2, "maxLabels": 40})
    run.step(seconds=1)
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"
    run.edit(training={"steps": 9000})
    run.step(seconds=1)
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "True"


def test_progress_is_shown() -> None:
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    run.step(job_of(planned, pod()), progress=Progress(percent=45.6, message="step 456"))
    assert run.status.progress == "45 %"
    planned = run.until(0, StageKind.LABEL) if run.step(succeeded(planned)).actions else planned
    run.step(job_of(planned, succeeded_indexes=1))
    assert run.status.progress == "1/3"


def test_a_long_job_keeps_a_small_status() -> None:
    run = Run(resource(convergence=NEVER, budget={"maxIterations": 40, "maxLabels": 1000}))
    run.answer = talkative_result
    status = run.to_the_end()
    assert status.iteration == 40
    assert [record.iteration for record in status.stages[:-KEPT_RECORDS]] == [0] * 5
    assert 13 <= len(status.iterations) <= KEPT_RECORDS
    assert len(canonical_json(status.to_json()).encode()) <= 16 * 1024
    errors = [record.holdout for record in status.iterations]
    assert [kept is not None and bool(kept.strata) for kept in errors[-8:]] == [False, *[True] * 7]


def test_few_status_writes_per_stage() -> None:
    run = Run()
    planned = run.until(0, StageKind.EXPLORE)
    written = {run.status.model_dump_json()}
    running = pod(index=0), pod(index=1, name="pod-2")
    for job in (job_of(planned), job_of(planned, *running), job_of(planned, *running), succeeded(planned)):
        run.step(job)
        written.add(run.status.model_dump_json())
    assert len(written) - 1 <= 3


@pytest.mark.parametrize("name", ["si", "a" * 200, "silicon.with.dots", "x" * 36])
def test_job_names_fit_pods_and_differ(name: str) -> None:
    names = {job_name(name, "uid-1", i, stage, a) for i in (0, 999) for stage in StageKind for a in (1, 12)}
    assert len(names) == 2 * 2 * len(StageKind)
    assert all(len(item) <= JOB_NAME_MAX and "." not in item for item in names)
    assert job_name(name, "uid-1", 0, StageKind.TRAIN, 1) != job_name(f"{name}-2", "uid-1", 0, StageKind.TRAIN, 1)


def test_a_finished_job_does_nothing() -> None:
    run = Run()
    run.to_the_end()
    decision = run.step(seconds=10)
    assert not [action for action in decision.actions if isinstance(action, CreateJob)]
    assert (decision.events, decision.requeue_after_seconds) == ((), None)
    assert (run.status.finished_at or START) > START


ABINIT = {"abinit": {"cutoffEv": 250, "kSpacing": 0.8, "pseudopotentials": {"Si": "Si.psp8"}}}


@pytest.mark.parametrize("engine", [{"xtb": {}}, ABINIT])
def test_with_more_memory_an_engine_tries_again_what_was_killed(engine: dict[str, Any]) -> None:
    digests = set()
    for memory in ("4Gi", "8Gi"):
        pods = {"label": {"resources": {"limits": {"memory": memory}}}}
        run = Run(resource(labeling={"engine": engine, "framesPerPod": 2, "image": "engine:1"}, pods=pods))
        digests.add(run.until(0, StageKind.LABEL).spec.digest)
    assert len(digests) == 2
