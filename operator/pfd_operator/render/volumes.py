"""Volumes of stage pods: scratch space, and everything read-only in one projected volume at /etc/pfd."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from pfd_operator.contract.stage import (
    STAGE_SPEC_ANNOTATION,
    STAGE_SPEC_FILE,
    STRUCTURES_DIRECTORY,
    PrepareParams,
)
from pfd_operator.plan.names import structures_key, structures_name
from pfd_operator.plan.types import PlannedJob

_ETC = str(PurePosixPath(STAGE_SPEC_FILE).parent)
CA_FILE = f"{_ETC}/ca.crt"

STAGE_MOUNT: dict[str, Any] = {"name": "stage", "mountPath": _ETC, "readOnly": True}
SCRATCH_MOUNTS: tuple[dict[str, Any], ...] = (
    {"name": "work", "mountPath": "/work"},
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod
    {"name": "home", "mountPath": "/home/pfd"},
)


def shared_memory_mount() -> dict[str, Any]:
    """Return the mount of a /dev/shm larger than the runtime's 64 MiB: MPI and data loaders need it."""
    return {"name": "shm", "mountPath": "/dev/shm"}  # noqa: S108 - an emptyDir of the pod


def volumes(job: PlannedJob) -> list[dict[str, Any]]:
    """Return the volumes of a stage's pod."""
    return [
        {"name": "work", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "home", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "stage", "projected": {"sources": _sources(job)}},
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


def _config_map(name: str, key: str, path: str) -> dict[str, Any]:
    # optional: a missing ConfigMap would leave the pod in ContainerCreating without a word in its status;
    # this way the stage starts, finds no file and says so
    return {"configMap": {"name": name, "optional": True, "items": [{"key": key, "path": path}]}}
