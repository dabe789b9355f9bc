"""What an administrator gives every stage pod is in all of them, and takes the place of nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pfd_operator.api.stage_pods import StagePods
from pfd_operator.contract.containers import SMALL_CONTAINERS
from pfd_operator.plan.types import PlannedJob, Resource
from pfd_operator.render import job_manifest
from tests.unit.operator.render.render_samples import SETTINGS, label_job, prepare_job, resource, select_job, train_job

GIVEN: dict[str, Any] = {
    "labels": {"team": "atoms", "example.org/cost-centre": "7"},
    "annotations": {"sidecar.istio.io/inject": "false"},
    "environment": {"HTTPS_PROXY": "http://proxy:3128", "NCCL_SOCKET_IFNAME": "eth0"},
    "serviceAccountName": "pfd-stages",
    "smallContainerResources": {"requests": {"cpu": "100m"}, "limits": {"memory": "256Mi"}},
}
OURS: dict[str, Any] = {
    "labels": {"app.kubernetes.io/managed-by": "somebody"},
    "annotations": {"pfd.dev/progress-token": "guessed", "pfd.dev/stage-spec": "{}"},
    "environment": {
        "HOME": "/",
        "AWS_SESSION_TOKEN": "stale",
        "PFD_PROGRESS_TOKEN": "guessed",
        "PFD_FIRST_NODE": "nobody",
        "PFD_GPUS": "8",
        "JOB_COMPLETION_INDEX": "0",
    },
}
MAKERS = [prepare_job, label_job, select_job, train_job]


def draw(
    given: dict[str, Any], make: Callable[[Resource], PlannedJob] = label_job, **changes: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, Any]]]:
    """Return a Job, the template of its pods, and their containers by name."""
    settings = replace(SETTINGS, stage_pods=StagePods.model_validate(given))
    job = job_manifest(make(resource(**changes)), settings, "token")
    pod = job["spec"]["template"]
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    return job, pod, {container["name"]: container for container in containers}


def variables(container: dict[str, Any]) -> dict[str, Any]:
    found = {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}
    assert len(found) == len(container["env"]), "a variable is given twice"
    return found


def test_golden(golden: Callable[[str, Any], None]) -> None:
    golden("label-abinit-stage-pods", draw(GIVEN)[0])


@pytest.mark.parametrize("make", MAKERS)
def test_every_stage_has_what_is_given(make: Callable[[Resource], PlannedJob]) -> None:
    job, pod, containers = draw(GIVEN, make)
    for metadata in (job["metadata"], pod["metadata"]):
        assert metadata["labels"].items() >= GIVEN["labels"].items()
        assert metadata["annotations"].items() >= GIVEN["annotations"].items()
    for container in containers.values():
        assert variables(container).items() >= GIVEN["environment"].items()
    assert pod["spec"]["serviceAccountName"] == "pfd-stages"
    assert pod["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_ours_stays_ours(make: Callable[[Resource], PlannedJob]) -> None:
    changes: dict[str, Any] = {"queue": {"name": "gpus"}, "training": {"nodes": 2}}
    job, pod, containers = draw(OURS, make, **changes)
    plain_job, plain_pod, plain_containers = draw({}, make, **changes)
    assert job["metadata"]["labels"] == plain_job["metadata"]["labels"]
    token, stage_spec = "pfd.dev/progress-token", "pfd.dev/stage-spec"
    assert job["metadata"]["annotations"][token] == plain_job["metadata"]["annotations"][token] == "token"
    assert pod["metadata"]["annotations"][stage_spec] == plain_pod["metadata"]["annotations"][stage_spec]
    assert pod["metadata"]["labels"].items() >= plain_pod["metadata"]["labels"].items()
    for name, container in containers.items():
        # of those given an engine has the ones that only workers have from us
        theirs = {"AWS_SESSION_TOKEN": "stale"} if name in ("engine", "engine-probe") else {}
        assert variables(container) == variables(plain_containers[name]) | theirs


def test_who_joins_whom_is_nothing_to_give() -> None:
    """A pod that trains alone has neither variable from us."""
    given = set(variables(draw(OURS, train_job)[2]["stage"]))
    assert given.isdisjoint({"PFD_FIRST_NODE", "JOB_COMPLETION_INDEX"})


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        ({}, {"requests": {"cpu": "50m", "memory": "128Mi"}}),
        ({"requests": {"memory": "1Gi"}}, {"requests": {"cpu": "50m", "memory": "1Gi"}}),
        ({"limits": {"memory": "64Mi"}}, {"requests": {"cpu": "50m"}, "limits": {"memory": "64Mi"}}),
        ({"limits": {"cpu": 1, "memory": "64Mi"}}, {"limits": {"cpu": 1, "memory": "64Mi"}}),
    ],
)
def test_small_containers_are_sized_apart(given: dict[str, Any], drawn: dict[str, Any]) -> None:
    _, _, containers = draw({"smallContainerResources": given})
    assert {name for name, container in containers.items() if container["resources"] == drawn} == SMALL_CONTAINERS
    assert containers["engine"]["resources"] == {"requests": {"cpu": "250m", "memory": "512Mi"}}


def test_a_stage_of_one_container_has_none_that_are_small() -> None:
    assert draw(GIVEN, train_job)[2]["stage"]["resources"] == draw({}, train_job)[2]["stage"]["resources"]
