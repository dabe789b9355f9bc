"""Names of children: pure functions of the resource and the stage, so that a child is found again under its name."""

from __future__ import annotations

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.stage import StageKind

from .types import Resource

JOB_NAME_MAX = 52
"""Pods append their index and five random characters, and 63 is the limit of a label."""
OBJECT_NAME_MAX = 253
"""Longest name of other objects; dots may be in it."""

_UID_DIGITS = 4
_DIGEST_DIGITS = 5


def job_name(resource: str, uid: str, iteration: int, stage: StageKind, attempt: int) -> str:
    """Return the Job name of one attempt, e.g. silicon-5f0c-i003-train-a1; at most 52 characters.

    Parameters
    ----------
    resource, uid
        Name and uid of the resource. A Job that is a copy of one of its Jobs has another name than this.
    """
    suffix = f"-{uid[:_UID_DIGITS]}-i{iteration:03d}-{stage.value}-a{attempt}"
    return _shortened(resource, JOB_NAME_MAX - len(suffix)) + suffix


def service_name(resource: Resource) -> str:
    """Return the name of the Service of pods that train together: a DNS label that begins with a letter."""
    suffix = f"-{resource.uid[:_UID_DIGITS]}"
    return f"pfd-{_shortened(resource.name, JOB_NAME_MAX - len(suffix) - 4)}{suffix}"


def structures_name(resource: Resource) -> str:
    """Return the name of the ConfigMap that holds inline structures; at most 253 characters."""
    suffix = f"-{resource.uid[:_UID_DIGITS]}-structures"
    room = OBJECT_NAME_MAX - len(suffix)
    return (resource.name if len(resource.name) <= room else _shortened(resource.name, room)) + suffix


def structures_key(system: str) -> str:
    """Return the key of a system's inline structures in that ConfigMap; its ending names the format."""
    return f"{system}.extxyz"


def _shortened(name: str, length: int) -> str:
    # a pod's host name is a DNS label, which has no dots; the name of a resource may have some
    plain = name.replace(".", "-")
    if plain == name and len(name) <= length:
        return name
    kept = plain[: length - _DIGEST_DIGITS - 1].rstrip("-")
    return f"{kept}-{digest_of(name)[:_DIGEST_DIGITS]}"
