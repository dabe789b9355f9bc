"""What the containers of a pod say about its stage: waiting, started, ended, and with which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pfd_operator.contract.containers import Container

_HARMLESS_WAITS = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class ContainerFacts:
    """A pod's containers in short."""

    any: bool
    """Whether the kubelet says anything of any."""
    waiting_reason: str | None
    waiting_message: str
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    failed_reason: str | None
    failed_container: str
    message: str


def container_facts(status: Mapping[str, Any]) -> ContainerFacts:
    """Reduce the container statuses of a pod; of several failed containers the first to fail speaks."""
    statuses = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    waiting = [item["state"]["waiting"] for item in statuses if "waiting" in item.get("state", {})]
    stuck: Mapping[str, Any] = next(
        (item for item in waiting if item.get("reason", "ContainerCreating") not in _HARMLESS_WAITS), {}
    )
    ended = {item["name"]: item["state"]["terminated"] for item in statuses if "terminated" in item.get("state", {})}
    failed = sorted(
        ((_time(end, "finishedAt"), name, end) for name, end in ended.items() if end["exitCode"] != 0),
        key=lambda item: item[0].timestamp() if item[0] else 0.0,
    )
    starts = [_time(item["state"]["running"], "startedAt") for item in statuses if "running" in item.get("state", {})]
    starts += [_time(end, "startedAt") for end in ended.values()]
    finishes = [_time(end, "finishedAt") for end in ended.values()]
    _, failed_name, failure = failed[0] if failed else (None, "", {})
    return ContainerFacts(
        any=bool(statuses),
        waiting_reason=stuck.get("reason"),
        waiting_message=stuck.get("message", ""),
        started_at=min((time for time in starts if time), default=None),
        finished_at=max((time for time in finishes if time), default=None),
        exit_code=failure.get("exitCode", 0) if ended else None,
        failed_reason=failure.get("reason"),
        failed_container=failed_name,
        message=_message(ended),
    )


def _message(ended: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the termination message that speaks for the stage: stage-in does so only when it failed."""
    for name in (Container.STAGE, Container.STAGE_OUT, Container.STAGE_IN):
        end = ended.get(name)
        if end is not None and end.get("message") and (name != Container.STAGE_IN or end["exitCode"] != 0):
            return str(end["message"])
    return ""


def _time(state: Mapping[str, Any], field: str) -> datetime | None:
    text = state.get(field)
    # containers that never ran carry the zero time
    return datetime.fromisoformat(text) if text and not text.startswith(("0001", "1970")) else None
