"""Custom resources: where they live in the API, how they are read, how their status is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from pfd_operator.api.job import GROUP, VERSION
from pfd_operator.api.kinds import FINE_TUNE_JOB, KINDS, Kind
from pfd_operator.api.status import JobStatus
from pfd_operator.plan.types import Resource

from .api import MERGE_PATCH, KubeApi
from .kept import UNFIT
from .merge_patch import merge_patch
from .owner import Owner


class Key(NamedTuple):
    """Which custom resource."""

    kind: str
    namespace: str
    name: str


class SpecInvalid(ValueError):  # noqa: N818 - a state of the resource, named as its condition's reason is
    """The spec is not one; the message names every wrong field."""


class StatusUnreadable(ValueError):  # noqa: N818 - as above
    """The status has a field or a value that this version does not know.

    Parameters
    ----------
    field
        Which, as users write it.
    """

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field} cannot be read: a newer operator wrote it, or somebody by hand. Nothing is done for the job, and "
            "what runs of it goes on, until the operator is one that knows it: upgrade it again"
        )
        self.field = field


@dataclass(frozen=True)
class Snapshot:
    """A custom resource as last read or written."""

    body: Mapping[str, Any]

    @property
    def key(self) -> Key:
        """Kind, namespace and name."""
        return Key(self.body["kind"], self.body["metadata"]["namespace"], self.body["metadata"]["name"])

    @property
    def kind(self) -> Kind:
        """What is known of its kind."""
        return KINDS[self.body["kind"]]

    @property
    def uid(self) -> str:
        """The uid."""
        return str(self.body["metadata"]["uid"])

    @property
    def as_owner(self) -> Owner:
        """What its children belong to."""
        return Owner(self.key.namespace, self.uid)

    @property
    def version(self) -> int:
        """The resourceVersion; comparable since Kubernetes says so for all its own storage."""
        return int(self.body["metadata"]["resourceVersion"])

    @property
    def generation(self) -> int:
        """Number of the spec's last change."""
        return int(self.body["metadata"].get("generation", 0))

    @property
    def raw_status(self) -> Mapping[str, Any]:
        """The status as stored."""
        status: Mapping[str, Any] = self.body.get("status") or {}
        return status

    @property
    def active_job(self) -> str | None:
        """Name of the running stage's Job."""
        return (self.raw_status.get("active") or {}).get("jobName")

    @property
    def active_has_started(self) -> bool:
        """True once a container of the running stage is known to have started."""
        return "startedAt" in (self.raw_status.get("active") or {})

    @property
    def teacher_key(self) -> Key | None:
        """The FineTuneJob that the job reads as its teacher: until it has started, and when it is to begin anew."""
        spec: Mapping[str, Any] = self.body.get("spec") or {}
        restart = spec.get("restart") or {}
        anew = restart.get("fromIteration") == 0 and restart.get("id") != self.raw_status.get("restartId")
        name = ((spec.get("teacher") or {}).get("fineTuneJob") or {}).get("name")
        if not isinstance(name, str) or not (anew or "startedAt" not in self.raw_status):
            return None
        return Key(FINE_TUNE_JOB.name, self.key.namespace, name)

    @property
    def ended(self) -> bool:
        """True while the job is over."""
        return "finishedAt" in self.raw_status

    def covers(self, body: Mapping[str, Any]) -> bool:
        """Return True if `body` is this version of the same resource, or an older one."""
        metadata = body["metadata"]
        return self.uid == metadata["uid"] and self.version >= int(metadata["resourceVersion"])

    def asks_the_same_as(self, body: Mapping[str, Any]) -> bool:
        """Return True if `body` is this resource with neither spec nor deletion changed."""
        ours, theirs = self.body["metadata"], body["metadata"]
        return all(ours.get(name) == theirs.get(name) for name in ("uid", "generation", "deletionTimestamp"))

    def resource(self) -> Resource:
        """Parse the spec.

        Raises
        ------
        SpecInvalid
            With the path of every wrong field and why it is wrong.
        """
        if "spec" not in self.body:
            raise SpecInvalid(UNFIT)
        metadata = self.body["metadata"]
        try:
            spec = self.kind.spec.model_validate(self.body["spec"])
        except ValidationError as error:
            raise SpecInvalid(in_words(error)) from error
        return Resource(
            kind=self.kind.name,
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=self.generation,
            spec=spec,
            deleting="deletionTimestamp" in metadata,
        )

    def status(self) -> JobStatus:
        """Parse the status.

        Raises
        ------
        StatusUnreadable
            With the path of the first field that cannot be read.
        """
        try:
            return self.kind.status.model_validate(self.raw_status)
        except ValidationError as error:
            path = ".".join(str(step) for step in ("status", *error.errors()[0]["loc"]))
            raise StatusUnreadable(path) from error


def in_words(error: ValidationError) -> str:
    """Return a validation error as one line that names the fields as users write them."""
    parts = []
    for item in error.errors(include_url=False, include_context=False):
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in item["loc"])
        parts.append(f"spec{path}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


def resource_path(key: Key) -> str:
    """Return the path of one resource."""
    return f"{collection_path(key.kind, key.namespace)}/{key.name}"


def collection_path(kind: str, namespace: str | None = None) -> str:
    """Return the path of all resources of a kind, or of those of a namespace."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{GROUP}/{VERSION}{scope}/{KINDS[kind].plural}"


async def write_status(api: KubeApi, snapshot: Snapshot, status: JobStatus, always: bool = False) -> Snapshot:
    """Write a status over the one in `snapshot`; nothing is sent if they are equal.

    Parameters
    ----------
    always
        Send it even then: the server changes nothing, and refuses if `snapshot` is not the newest.

    Returns
    -------
    Snapshot
        The resource as the server has it now.

    Raises
    ------
    ApiError
        409 if the resource changed since the snapshot was taken: what was decided on it no longer counts.
    """
    patch = merge_patch(snapshot.raw_status, status.to_json())
    if not patch and not always:
        return snapshot
    guard = {"resourceVersion": snapshot.body["metadata"]["resourceVersion"], "uid": snapshot.uid}
    body = {"metadata": guard, "status": patch}
    answer = await api.request("PATCH", f"{resource_path(snapshot.key)}/status", body, content_type=MERGE_PATCH)
    return Snapshot(answer)
