"""Volumes of stage pods: scratch space, and everything read-only in one projected volume at /etc/pfd."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pfd_operator.api.pods import Resources
from pfd_operator.contract.containers import ENGINE_FOLDER, WORK_DIRECTORY
from pfd_operator.contract.program import LIVE_FILES_DIRECTORY, MOUNTED_FILES_DIRECTORY, MountedFile
from pfd_operator.contract.stage import (
    STAGE_SPEC_ANNOTATION,
    STAGE_SPEC_FILE,
    STRUCTURES_DIRECTORY,
    LabelParams,
    PrepareParams,
)
from pfd_operator.plan.names import structures_key, structures_name
from pfd_operator.plan.types import PlannedJob

HOME_DIRECTORY = "/home/pfd"
ENGINE_DIRECTORY = f"{WORK_DIRECTORY}/{ENGINE_FOLDER}"
_ETC = str(PurePosixPath(STAGE_SPEC_FILE).parent)
CA_FILE = f"{_ETC}/ca.crt"

STAGE_MOUNT: dict[str, Any] = {"name": "stage", "mountPath": _ETC, "readOnly": True}
WORKER_MOUNTS: tuple[dict[str, Any], ...] = (
    {"name": "work", "mountPath": WORK_DIRECTORY},
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
    {"name": "home", "mountPath": HOME_DIRECTORY},
    STAGE_MOUNT,
)
SHARED_MOUNT: dict[str, Any] = {"name": "engine", "mountPath": ENGINE_DIRECTORY}
"""The only one of an engine's containers and workers both: programs take what lies in /tmp and HOME for theirs."""
_ENGINE_MOUNTS: tuple[dict[str, Any], ...] = (
    SHARED_MOUNT,
    {"name": "engine-tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
    {"name": "engine-home", "mountPath": HOME_DIRECTORY},
)


def shared_memory_mount() -> dict[str, Any]:
    """Return the mount of a /dev/shm larger than the runtime's 64 MiB: MPI and data loaders need it."""
    return {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - an emptyDir of the pod


def engine_mounts(job: PlannedJob) -> list[dict[str, Any]]:
    """Return the mounts of an engine's containers."""
    if not _mounted_files(job):
        return [*_ENGINE_MOUNTS]
    return [*_ENGINE_MOUNTS, {"name": "files", "mountPath": MOUNTED_FILES_DIRECTORY, "readOnly": True}]


def probe_mounts(job: PlannedJob) -> list[dict[str, Any]]:
    """Return the same of the probe, which copies what is mounted live to where the calculations find it."""
    if not _mounted_files(job):
        return [*_ENGINE_MOUNTS]
    live = {"name": "files-live", "mountPath": LIVE_FILES_DIRECTORY, "readOnly": True}
    return [*_ENGINE_MOUNTS, live, {"name": "files", "mountPath": MOUNTED_FILES_DIRECTORY}]


def volumes(job: PlannedJob, resources: Resources) -> list[dict[str, Any]]:
    """Return the volumes of a stage's pod; scratch space is as large as the disk that its resources allow."""
    disk = resources.limits.get("ephemeral-storage")
    # Kubernetes counts them all together against the limit; of one that is too large its own size tells which it was
    scratch_space = {} if disk is None else {"sizeLimit": disk}
    files = [_source(each) for each in _mounted_files(job)]
    scratch = [mount for mount in WORKER_MOUNTS if mount != STAGE_MOUNT]
    if job.engine_image is not None:
        scratch += _ENGINE_MOUNTS
    return [
        *({"name": mount["name"], "emptyDir": {**scratch_space}} for mount in scratch),
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "stage", "projected": {"sources": _sources(job)}},
        *(_given(files) if files else []),
    ]


def _given(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # a Secret is never written to a disk of its node
    return [
        {"name": "files-live", "projected": {"sources": files}},
        {"name": "files", "emptyDir": {"medium": "Memory"}},
    ]


def _sources(job: PlannedJob) -> list[dict[str, Any]]:
    annotation = f"metadata.annotations['{STAGE_SPEC_ANNOTATION}']"
    stage_file = {"path": PurePosixPath(STAGE_SPEC_FILE).name, "fieldRef": {"fieldPath": annotation}}
    sources: list[dict[str, Any]] = [{"downwardAPI": {"items": [stage_file]}}]
    bundle = job.owner.spec.artifacts.s3.ca_bundle_config_map
    if bundle is not None:
        sources.append(_config_map(bundle, "ca.crt", "ca.crt"))
    if isinstance(job.spec.params, PrepareParams):
        sources += _structures(job)
    return sources


def _structures(job: PlannedJob) -> list[dict[str, Any]]:
    directory = PurePosixPath(STRUCTURES_DIRECTORY).relative_to(_ETC)
    sources = []
    for system in job.owner.spec.systems:
        given = system.structures
        if given.config_map is not None:
            path = directory / system.name / given.config_map.key
            sources.append(_config_map(given.config_map.name, given.config_map.key, str(path)))
        elif given.inline is not None:
            key = structures_key(system.name)
            sources.append(_config_map(structures_name(job.owner), key, str(directory / system.name / key)))
    return sources


def _mounted_files(job: PlannedJob) -> list[MountedFile]:
    params = job.spec.params
    if not isinstance(params, LabelParams) or params.engine is None or params.engine.program is None:
        return []
    return params.engine.program.files_from


def _source(file: MountedFile) -> dict[str, Any]:
    kind, source = file.chosen()
    return _projected(kind, source.name, source.key, source.key)


def _config_map(name: str, key: str, path: str) -> dict[str, Any]:
    return _projected("configMap", name, key, path)


def _projected(kind: str, name: str, key: str, path: str) -> dict[str, Any]:
    # optional: a missing object would leave the pod in ContainerCreating without a word in its status;
    # this way the stage starts, finds no file and says so
    return {kind: {"name": name, "optional": True, "items": [{"key": key, "path": path}]}}
