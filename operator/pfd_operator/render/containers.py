"""Containers of stage pods: one worker, or a DFT engine's image as it is between two workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pfd_operator.api.pods import PodOverrides, ResourceClaim, Resources
from pfd_operator.contract.containers import RUN_SCRIPT, Container, Side
from pfd_operator.contract.probe import PROBE_SCRIPT, probe_arguments
from pfd_operator.contract.s3_keys import S3_KEYS
from pfd_operator.contract.stage import (
    FIRST_NODE_VARIABLE,
    GPUS_VARIABLE,
    INDEX_VARIABLE,
    PROGRESS_VARIABLE,
    LabelParams,
)
from pfd_operator.plan.engines import missing_image
from pfd_operator.plan.names import service_name
from pfd_operator.plan.types import PlannedJob, Settings

from .errors import RenderError
from .volumes import (
    CA_FILE,
    ENGINE_DIRECTORY,
    HOME_DIRECTORY,
    SHARED_MOUNT,
    WORKER_MOUNTS,
    engine_mounts,
    probe_mounts,
    shared_memory_mount,
)

_DEFAULT_REQUESTS = {"cpu": "250m", "memory": "512Mi"}
_COPY_REQUESTS = {"cpu": "50m", "memory": "128Mi"}

_NEVER_GIVEN = ("PFD_", INDEX_VARIABLE)
"""Beginnings of variables that say what a pod is to do: also where we set none, nobody else may."""

_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def worker_containers(job: PlannedJob) -> tuple[str, ...]:
    """Return the names of the containers whose exit codes follow the contract."""
    return (Container.STAGE,) if job.engine_image is None else (Container.STAGE_IN, Container.STAGE_OUT)


def containers(
    job: PlannedJob, settings: Settings, overrides: PodOverrides, progress_token: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return (init containers, containers) of a stage's pod.

    Raises
    ------
    RenderError
        If no image is known for an engine that needs one.
    """
    # known when the job started, it may be lost by an upgrade or taken out of the spec; the worker image has none
    missing = missing_image(job.spec.params, job.engine_image)
    if missing:
        raise RenderError(missing)
    if job.engine_image is None:
        worker = _worker(Container.STAGE, [], job, settings, progress_token)
        worker["resources"] = _main_resources(overrides)
        worker["volumeMounts"].append(shared_memory_mount())
        return [], [worker]
    stage_in, stage_out = (
        _worker(name, [side], job, settings, progress_token)
        for name, side in ((Container.STAGE_IN, Side.LABEL_IN), (Container.STAGE_OUT, Side.LABEL_OUT))
    )
    for container in (stage_in, stage_out):
        container["resources"] = _small_resources(settings)
        container["volumeMounts"].append(SHARED_MOUNT)
    engine = _engine(job.engine_image, engine_mounts(job), settings, overrides)
    return [_probe(engine, job, settings), stage_in], [engine, stage_out]


def _worker(
    name: str, arguments: list[str], job: PlannedJob, settings: Settings, progress_token: str
) -> dict[str, Any]:
    return {
        "name": name,
        "image": job.worker_image,
        "imagePullPolicy": settings.image_pull_policy,
        # args, not command: the image's entry point is an init that reaps children and forwards signals
        "args": ["python", "-m", "pfd_worker", *arguments],
        "env": _environment(_worker_environment(name, job, progress_token), settings),
        "volumeMounts": [*WORKER_MOUNTS],
        "terminationMessagePolicy": "File",
        "securityContext": _CONTAINER_SECURITY,
    }


def _engine(image: str, mounts: list[dict[str, Any]], settings: Settings, overrides: PodOverrides) -> dict[str, Any]:
    return {
        "name": Container.ENGINE,
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        # written by stage-in: the image needs a POSIX shell and the engine, nothing of ours; no credentials here
        "command": ["sh", f"{ENGINE_DIRECTORY}/{RUN_SCRIPT}"],
        "workingDir": ENGINE_DIRECTORY,
        "env": _environment([{"name": "HOME", "value": HOME_DIRECTORY}], settings),
        "resources": _main_resources(overrides),
        "volumeMounts": [*mounts, shared_memory_mount()],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _CONTAINER_SECURITY,
    }


def _probe(engine: dict[str, Any], job: PlannedJob, settings: Settings) -> dict[str, Any]:
    """Return the init container that tells what the engine's image holds: label keys are made of it."""
    params = job.spec.params
    if not isinstance(params, LabelParams) or params.engine is None:
        raise TypeError("only label stages have engines")
    return {
        **engine,
        "name": Container.PROBE,
        "command": ["sh", "-c", PROBE_SCRIPT, "probe", *probe_arguments(params.engine)],
        "resources": _small_resources(settings),
        "volumeMounts": probe_mounts(job),
    }


def _environment(ours: list[dict[str, Any]], settings: Settings) -> list[dict[str, Any]]:
    """Return the variables of a container: ours, and of those that the administrator gives the ones that are not."""
    names = {variable["name"] for variable in ours}
    given = settings.stage_pods.environment.items()
    return ours + [
        {"name": name, "value": value}
        for name, value in given
        if name not in names and not name.startswith(_NEVER_GIVEN)
    ]


def _worker_environment(name: str, job: PlannedJob, progress_token: str) -> list[dict[str, Any]]:
    threads = {"containerName": name, "resource": "limits.cpu", "divisor": "1"}
    return [
        {"name": "HOME", "value": HOME_DIRECTORY},
        # what else lies in the working directory or at home is no code of ours, in images of others, too
        {"name": "PYTHONSAFEPATH", "value": "1"},
        {"name": "PYTHONNOUSERSITE", "value": "1"},
        {"name": PROGRESS_VARIABLE, "value": progress_token},
        {"name": "OMP_NUM_THREADS", "valueFrom": {"resourceFieldRef": threads}},
        # libgomp's threads spin for their next task, which on a node with other work, or under a CPU limit, takes the
        # time of the very thread they wait for: a step of a small student 466 ms instead of 52 (make bench-threads)
        {"name": "OMP_WAIT_POLICY", "value": "PASSIVE"},
        *_store_environment(job),
        *_node_environment(job),
        # beside an engine with an image of its own the workers have none
        *([{"name": GPUS_VARIABLE, "value": str(job.gpus)}] if job.gpus and name == Container.STAGE else []),
    ]


def _node_environment(job: PlannedJob) -> list[dict[str, Any]]:
    if not job.together:
        return []
    # the host name of an Indexed Job's pod is the Job's and its index
    return [{"name": FIRST_NODE_VARIABLE, "value": f"{job.name}-0.{service_name(job.owner)}"}]


def _store_environment(job: PlannedJob) -> list[dict[str, Any]]:
    s3 = job.owner.spec.artifacts.s3
    environment: list[dict[str, Any]] = []
    if s3.credentials_secret is not None:
        for name, required in S3_KEYS.items():
            source = {"name": s3.credentials_secret, "key": name, **({} if required else {"optional": True})}
            environment.append({"name": name, "valueFrom": {"secretKeyRef": source}})
    if s3.ca_bundle_config_map is not None:
        environment.append({"name": "AWS_CA_BUNDLE", "value": CA_FILE})
    return environment


def _main_resources(overrides: PodOverrides) -> dict[str, Any]:
    return _resources(overrides.resources, _DEFAULT_REQUESTS, overrides.resource_claims)


def _small_resources(settings: Settings) -> dict[str, Any]:
    return _resources(settings.stage_pods.small_container_resources, _COPY_REQUESTS)


def _resources(
    given: Resources, defaults: dict[str, str], resource_claims: Sequence[ResourceClaim] = ()
) -> dict[str, Any]:
    # Kubernetes takes a missing request from the limit: our default must not undercut it
    requests = {name: value for name, value in defaults.items() if name not in given.limits} | given.requests
    resources: dict[str, Any] = {}
    if requests:
        resources["requests"] = requests
    if given.limits:
        resources["limits"] = dict(given.limits)
    if resource_claims:
        resources["claims"] = [{"name": claim.name} for claim in resource_claims]
    return resources
