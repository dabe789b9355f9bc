"""What may change in a job that has started changes no digest; everything else does, as for the API server."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType
from pfd_operator.api.crd import definition
from pfd_operator.api.job import MUTABLE_FIELDS, RESTART_FIELDS, JobSpec
from pfd_operator.api.kinds import KINDS
from pfd_operator.contract.stage import LabelParams, StageKind, TrainParams
from pfd_operator.plan.spec_digest import former_spec_digest, spec_digest
from tests.job_specs import DISTILL_SPEC, SPEC
from tests.unit.operator.plan.plan_samples import Run, condition, created, job_of, pod, resource, succeeded

SPECS = {"FineTuneJob": SPEC, "DistillJob": DISTILL_SPEC}
S3 = {
    "endpoint": "https://s3.elsewhere",
    "region": "eu-west-1",
    "pathStyle": False,
    "credentialsSecret": "rotated",
    "caBundleConfigMap": "own-ca",
}


def parsed(kind: str, path: str = "", value: Any = None) -> JobSpec:
    """The sample with another value of one field."""
    spec = copy.deepcopy(SPECS[kind])
    if path:
        *above, name = path.split(".")
        place = spec
        for step in above:
            place = place.setdefault(step, {})
        place[name] = value
    return KINDS[kind].spec.model_validate(spec)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((f"artifacts.s3.{name}", value) for name, value in S3.items()),
        ("labeling.parallelism", 7),
        ("suspend", True),
        ("queue", {"name": "gpus"}),
    ],
)
def test_what_no_output_depends_on(kind: str, path: str, value: Any) -> None:
    assert spec_digest(parsed(kind, path, value)) == spec_digest(parsed(kind))


@pytest.mark.parametrize(("kind", "path"), [("FineTuneJob", "labeling.image"), ("DistillJob", "teacher.image")])
def test_images_may_change_as_those_of_the_chart_do(kind: str, path: str) -> None:
    assert spec_digest(parsed(kind, path, "mine:2")) == spec_digest(parsed(kind))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("FineTuneJob", "artifacts.s3.bucket", "elsewhere"),
        ("FineTuneJob", "artifacts.s3.prefix", "elsewhere"),
        ("FineTuneJob", "labeling.framesPerPod", 3),
        ("FineTuneJob", "labeling.maxFailedFraction", 0.5),
        ("FineTuneJob", "labeling.timeoutSeconds", 60),
        ("FineTuneJob", "labeling.engine", {"xtb": {"accuracy": 0.5}}),
        ("DistillJob", "labeling.framesPerPod", 3),
        ("DistillJob", "teacher.fineTuneJob", {"name": "other"}),
    ],
)
def test_what_outputs_depend_on(kind: str, path: str, value: Any) -> None:
    assert spec_digest(parsed(kind, path, value)) != spec_digest(parsed(kind))


def test_what_may_change_may_also_be_all_there_is_of_it() -> None:
    spec = {**DISTILL_SPEC, "labeling": {}}
    alone = {**DISTILL_SPEC, "labeling": {"parallelism": 9}}
    parse = KINDS["DistillJob"].spec.model_validate
    assert spec_digest(parse(alone)) == spec_digest(parse(spec))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_the_api_server_freezes_the_same(kind: Any) -> None:
    """Every field of the spec is in a rule or may change, and no rule is about one that may."""
    schema = definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    ruled = {rule["message"].split()[0].removeprefix("spec.") for rule in schema["x-kubernetes-validations"]}
    assert not ruled & MUTABLE_FIELDS

    def check(properties: dict[str, Any], above: str = "") -> None:
        for name, field in properties.items():
            path = f"{above}{name}"
            if path not in ruled | MUTABLE_FIELDS:
                check(field["properties"], f"{path}.")

    check(schema["properties"]["spec"]["properties"])
    fields = {field for field in MUTABLE_FIELDS | RESTART_FIELDS if "." in field}
    tops = {field.partition(".")[0] for field in fields} & schema["properties"]["spec"]["properties"].keys()
    assert tops and not tops & ruled


def test_who_raises_a_budget_and_upgrades_at_once_has_changed_nothing() -> None:
    """An operator before wrote the digest with all of labeling and artifacts in it."""
    run = Run()
    planned = run.until(0, StageKind.PREPARE)
    former = former_spec_digest(run.resource.spec)
    assert former != spec_digest(run.resource.spec)
    run.status = run.status.model_copy(update={"spec_digest": former})
    run.edit(budget={"maxIterations": 5, "maxLabels": 40})
    assert created(run.step(succeeded(planned))).spec.stage is StageKind.EXPLORE
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"
    assert run.status.spec_digest == spec_digest(run.resource.spec)


def labeling(**changes: Any) -> dict[str, Any]:
    return {"labeling": {**SPEC["labeling"], **changes}}


def test_more_label_pods_run_from_the_next_stage_on_and_nothing_else_changes() -> None:
    run = Run(resource(**labeling(framesPerPod=1)))
    explore = run.until(1, StageKind.EXPLORE)
    run.edit(**labeling(framesPerPod=1, parallelism=3))
    assert run.step(job_of(explore, pod())).actions == (), "what runs goes on"
    run.step(succeeded(explore), seconds=1)
    label = run.until(1, StageKind.LABEL)
    assert label.parallelism == 3
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"
    same = Run(resource(**labeling(framesPerPod=1)))
    assert same.until(1, StageKind.LABEL).spec.digest == label.spec.digest


def test_another_image_of_the_labels_is_that_of_the_next_attempt() -> None:
    run = Run(resource(**labeling(image="mine:1")))
    label = run.until(1, StageKind.LABEL)
    run.edit(**labeling(image="mine:2"))
    assert run.step(job_of(label, pod())).actions == ()
    run.step(seconds=1)
    again = created(run.step(seconds=600))
    assert (label.worker_image, again.worker_image) == ("mine:1", "mine:2")
    assert again.spec.attempt == 2
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"


def test_an_s3_that_has_moved_is_where_the_next_stage_looks() -> None:
    run = Run()
    explore = run.until(1, StageKind.EXPLORE)
    before = explore.spec.store.s3
    moved = {"s3": {**SPEC["artifacts"]["s3"], **S3}}
    run.edit(artifacts=moved)
    select = created(run.step(succeeded(explore), seconds=1))
    assert before is not None and select.spec.store.s3 is not None
    assert (before.endpoint, select.spec.store.s3.endpoint) == ("http://s3:7070", S3["endpoint"])
    assert select.owner.spec.artifacts.s3.credentials_secret == "rotated"


def test_more_time_for_labels_comes_with_a_restart() -> None:
    run = Run()
    first = run.until(1, StageKind.LABEL)
    run.step(job_of(first, pod()))
    run.edit(restart={"fromIteration": 1, "id": "slow"}, **labeling(timeoutSeconds=7200, maxFailedFraction=0.5))
    for _ in range(2):
        run.step(seconds=1)
    label = run.until(1, StageKind.LABEL)
    assert isinstance(label.spec.params, LabelParams)
    assert label.spec.params.timeout_seconds == 7200
    assert label.spec.digest != first.spec.digest, "what failed is tried again"
    train = run.until(1, StageKind.TRAIN)
    assert isinstance(train.spec.params, TrainParams)
    assert train.spec.params.max_failed_fraction == 0.5
