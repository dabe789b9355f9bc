"""The API server's audit log: which requests the operator made in a window of time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from .control_plane import NAMESPACE, SERVICE_ACCOUNT

USER = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def requests(logs: Iterable[Path], start: datetime, end: datetime) -> Counter[str]:
    """Count the operator's requests, e.g. "patch finetunejobs/status", without watches and without its lease."""
    counts: Counter[str] = Counter()
    for log in logs:
        with log.open() as lines:
            for line in lines:
                if USER not in line:
                    continue
                event = json.loads(line)
                if event["user"]["username"] == USER and start <= _received(event) <= end and _counts(event):
                    counts[_name(event)] += 1
    return counts


def writes(counts: Counter[str]) -> int:
    """Return how many of the requests change something."""
    return sum(count for name, count in counts.items() if name.split()[0] in WRITES)


def _received(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["requestReceivedTimestamp"])


def _counts(event: dict[str, Any]) -> bool:
    return bool(event["verb"] != "watch" and event.get("objectRef", {}).get("resource") != "leases")


def _name(event: dict[str, Any]) -> str:
    target = event.get("objectRef", {})
    what = "/".join(filter(None, (target.get("resource"), target.get("subresource")))) or event["requestURI"]
    return f"{event['verb']} {what}"
