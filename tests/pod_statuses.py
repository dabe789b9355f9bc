"""What a kubelet writes of a stage's pod."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any


def status_of(phase: str, state: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Return a pod's status, with the state of its container if that is known."""
    container = {"name": "stage", "image": "worker", "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": phase, **({"containerStatuses": [{**container, "state": state}]} if state else {}), **more}


def running(started_at: str) -> dict[str, Any]:
    """Return the state of a container that runs."""
    return {"running": {"startedAt": started_at}}


def terminated(code: int, message: str, started_at: str) -> dict[str, Any]:
    """Return the state of a container that has ended just now."""
    words = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "message": message}
    return {"terminated": {**words, "startedAt": started_at, "finishedAt": now()}}


def now(seconds_ago: float = 0.0) -> str:
    """Return the time, or one before it, as Kubernetes writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
