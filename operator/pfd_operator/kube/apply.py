"""Carry out a decision, in the one order that survives a crash at any point: status, then children, then Events."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pfd_operator.plan.types import (
    Action,
    CreateConfigMap,
    CreateJob,
    CreateService,
    Decision,
    DeleteJob,
    Event,
    Resource,
    Settings,
)
from pfd_operator.render import config_map_manifest, job_manifest, service_manifest

from .api import ApiError, KubeApi
from .events import EventRecorder
from .resources import Snapshot, write_status

log = logging.getLogger(__name__)

STRICT = {"fieldValidation": "Strict"}
"""Users write parts of pods freely: of a toleration with a mistyped `key`, a server that only drops what it does not
know makes one that tolerates everything."""


class ChildRefused(ApiError):  # noqa: N818
    """The API server does not take an object for what it is: by a quota, an admission rule or a field that is wrong."""


class NameTaken(Exception):  # noqa: N818
    """An object of this name exists and belongs to somebody else."""


async def apply(
    api: KubeApi,
    recorder: EventRecorder,
    snapshot: Snapshot,
    resource: Resource,
    decision: Decision,
    settings: Settings,
    written: Callable[[Snapshot], None],
) -> None:
    """Write the status, then create and delete children, then tell what was decided, by Events and in the log.

    Parameters
    ----------
    snapshot
        The custom resource that the decision was made on.
    written
        Called with the resource as the server has it after the status was written.

    Raises
    ------
    ApiError
        409 from the status write: drop the decision and decide again. Others: the server refuses, or is away.
    ChildRefused
        The server does not take a child.
    NameTaken
        A child's name is in use by somebody else.
    RenderError
        A stage cannot be drawn.
    """
    # drawn before anything is written: a stage that cannot be drawn must not be intended
    manifests = [_manifest(action, resource, settings) for action in decision.actions]
    # no action on any status but the server's newest: a decision that changes nothing of it is checked all the same
    after = await write_status(api, snapshot, decision.status, always=bool(manifests))
    if after is not snapshot:
        written(after)
    try:
        for action, manifest in _in_order(zip(decision.actions, manifests, strict=True)):
            match action:
                case DeleteJob():
                    await delete_job(api, resource.namespace, action)
                case _:
                    await create(api, _collection(action, resource.namespace), manifest, resource.uid)
    finally:
        # also if a child is refused: by the status that is written it was told, and no later decision tells it again
        for event in decision.events:
            log.info("%s: %s", event.reason, event.message)
        for event in in_one(decision.events):
            recorder.emit(after, event)


def in_one(events: Sequence[Event]) -> list[Event]:
    """Return the warnings, and all other Events of a decision as one: each is a write."""
    normal = [event for event in events if not event.warning]
    joined = [Event(normal[-1].reason, "; ".join(event.message for event in normal))] if normal else []
    return [*(event for event in events if event.warning), *joined]


async def create(api: KubeApi, collection: str, manifest: Mapping[str, Any], owner_uid: str) -> None:
    """Create a child; one that exists under this name and belongs to the same resource is the same.

    Raises
    ------
    NameTaken
        If it belongs to somebody else.
    ChildRefused
        If the server does not take it, be it for a field that it does not know.
    ApiError
        If the server is away.
    """
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        await api.send("POST", collection, manifest, STRICT)
    except ApiError as error:
        if error.status in (400, 403, 413, 422) or "webhook" in error.message:
            words = f"the API server refuses {name}: {error.message}"
            raise ChildRefused(error.status, error.reason, words) from error
        if error.status != 409 or error.reason != "AlreadyExists":
            raise
        existing = await api.request("GET", f"{collection}/{manifest['metadata']['name']}")
        owners = existing["metadata"].get("ownerReferences", ())
        if not any(owner["uid"] == owner_uid and owner.get("controller") for owner in owners):
            raise NameTaken(f"{name} exists and belongs to somebody else: delete or rename it") from error


async def delete_job(api: KubeApi, namespace: str, action: DeleteJob) -> None:
    """Delete a Job and its pods; one that is gone already, or was replaced, is none of ours to delete."""
    # by name and uid, never by labels: others may have copied them, and the admission policy refuses theirs
    policy = "Background" if action.ended else "Foreground"
    body = {"propagationPolicy": policy, "preconditions": {"uid": action.uid}}
    try:
        await api.send("DELETE", f"/apis/batch/v1/namespaces/{namespace}/jobs/{action.name}", body)
    except ApiError as error:
        if error.status not in (404, 409):
            raise


def _manifest(action: Action, resource: Resource, settings: Settings) -> dict[str, Any]:
    match action:
        case CreateJob(job):
            return job_manifest(job, settings, secrets.token_urlsafe(16))
        case CreateConfigMap(name, data):
            return config_map_manifest(name, resource, data)
        case CreateService(name):
            return service_manifest(name, resource)
        case DeleteJob():
            return {}


def _collection(action: Action, namespace: str) -> str:
    if isinstance(action, CreateJob):
        return f"/apis/batch/v1/namespaces/{namespace}/jobs"
    return f"/api/v1/namespaces/{namespace}/{'services' if isinstance(action, CreateService) else 'configmaps'}"


def _in_order(pairs: Iterable[tuple[Action, dict[str, Any]]]) -> list[tuple[Action, dict[str, Any]]]:
    def place(action: Action) -> int:
        match action:
            # the next attempt's pods may need the room of the last one's; what has ended takes none, and can wait
            case DeleteJob(ended=False):
                return 0
            case CreateConfigMap() | CreateService():
                return 1
            case CreateJob():
                return 2
            case DeleteJob():
                return 3

    return sorted(pairs, key=lambda pair: place(pair[0]))
