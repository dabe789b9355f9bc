"""A FineTuneJob as the teacher of a DistillJob: what the student's job needs to know of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.finetune import FineTuneHoldOut
from pfd_operator.api.job import Artifacts
from pfd_operator.api.status import JobStatus, TeacherRecord
from pfd_operator.contract.labeling import Labeling
from pfd_operator.contract.stage import StageKind
from pfd_operator.contract.systems import System
from pfd_operator.plan.conditions import find_condition
from pfd_operator.plan.observed import ObservedTeacher

from .api import ApiError, KubeApi
from .kept import kept
from .resources import Key, Snapshot, StatusUnreadable, in_words, resource_path
from .store import ResourceStore


class _TeacherSpec(BaseModel):
    """What a student needs of its teacher's spec; whatever else is in it has done its work."""

    artifacts: Artifacts
    systems: list[System]
    holdout: FineTuneHoldOut = FineTuneHoldOut()


async def teacher_of(api: KubeApi, store: ResourceStore, snapshot: Snapshot) -> ObservedTeacher | None:
    """Return what is known of the FineTuneJob that a resource reads as its teacher; None if it does not exist.

    Raises
    ------
    ApiError
        If it is not held, and the server does not say whether it exists.
    """
    # at other times its status holds what it needs, and a teacher at rest would be unpacked at every look
    key = snapshot.teacher_key
    if key is None:
        return None
    teacher = store.get(key) or await _asked(api, key)
    return None if teacher is None else _observed(teacher)


async def _asked(api: KubeApi, key: Key) -> Snapshot | None:
    """Read a resource that is not held: the watch of its kind may not have told of it yet. None if there is none.

    It is not kept: what the watch brings of a resource that is held already would be no news.
    """
    try:
        return Snapshot(kept(await api.request("GET", resource_path(key))))
    except ApiError as error:
        if error.status != 404:
            raise
        return None


def _observed(teacher: Snapshot) -> ObservedTeacher:
    try:
        status = teacher.status()
    except StatusUnreadable:
        return ObservedTeacher(Phase.PENDING)
    phase = status.phase
    given = teacher.body.get("spec", {})
    try:
        spec = _TeacherSpec.model_validate(given)
    except ValidationError as error:
        return ObservedTeacher(phase, f"its spec cannot be read ({in_words(error)})" if phase.terminal else "")
    systems = tuple(system.name for system in spec.systems)
    seen = ObservedTeacher(phase, s3=spec.artifacts.s3, apart=spec.holdout.apart, systems=systems)
    if not phase.terminal:
        return seen
    return replace(seen, end=_end(status), record=_record(teacher.key.name, spec, status, _reference(given)))


def _record(name: str, spec: _TeacherSpec, status: JobStatus, reference: str | None) -> TeacherRecord | None:
    prepare, train = (status.inputs.get(stage.value) for stage in (StageKind.PREPARE, StageKind.TRAIN))
    if status.model is None or prepare is None or train is None:
        return None
    s3 = spec.artifacts.s3
    root = f"s3://{s3.bucket}/{s3.prefix.strip('/')}".rstrip("/")
    return TeacherRecord(
        name=name,
        model_uri=status.model.uri,
        starts_uri=f"{root}/stages/{prepare.digest}/manifest.json",
        holdout_uri=f"{root}/stages/{train.digest}/manifest.json",
        systems=[system.name for system in spec.systems],
        reference=reference,
        phase=status.phase,
        iteration=status.model.iteration,
    )


def _reference(spec: dict[str, Any]) -> str | None:
    """Return what labelled for the teacher; None if its spec no longer says so: the model card says less then."""
    try:
        engine = Labeling.model_validate(spec.get("labeling")).engine
    except ValidationError:
        return None
    given = spec.get("data") or spec.get("holdout", {}).get("data")
    return engine.in_words + (", and given data" if given else "")


def _end(status: JobStatus) -> str:
    ready = find_condition(status, ConditionType.READY)
    return f"it ended as {status.phase.value}" + (f" ({ready.message})" if ready is not None else "")
