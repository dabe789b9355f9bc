"""A pod on a node, as its kubelet knows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pfd_operator.contract.stage import STAGE_SPEC_ANNOTATION, StageSpec

from .faults import Fault
from .worker import Life

GRACE_SECONDS = 5
"""Time to end for a pod that is deleted."""
NODE_LOST_AFTER_SECONDS = 7
"""The operator's patience after that: then another may do its work."""


@dataclass
class Pod:
    """A pod on a node."""

    name: str
    uid: str
    job: str
    index: int | None
    spec: StageSpec
    node: str
    started_at: str = ""
    grace_ends_at: datetime | None = None
    """When its time to end is over; None if it was not told to."""
    life: Life = field(default_factory=Life)
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    harmed: Fault | None = None
    """What was done to it by hand, or to its last words."""

    @property
    def work(self) -> tuple[str, int, str, int | None]:
        """What it does: two live pods must never do the same."""
        return self.spec.job.uid, self.spec.iteration, self.spec.stage.value, self.index

    def lingers(self, at: datetime) -> bool:
        """Return True if the operator may take it for dead; on a slow machine sound nodes take as long."""
        # the server's times are whole seconds
        return (
            self.grace_ends_at is not None and (at - self.grace_ends_at).total_seconds() > NODE_LOST_AFTER_SECONDS - 1
        )

    def told_to_end(self, metadata: dict[str, Any]) -> None:
        """Take note of a deletion; deletionTimestamp is when its grace is over."""
        self.grace_ends_at = datetime.fromisoformat(metadata["deletionTimestamp"])
        self.life.stopping.set()


def pod_from(body: dict[str, Any], node: str) -> Pod:
    """Return a pod as it was bound to a node."""
    metadata = body["metadata"]
    index = metadata["annotations"].get("batch.kubernetes.io/job-completion-index")
    spec = StageSpec.model_validate_json(metadata["annotations"][STAGE_SPEC_ANNOTATION])
    job = metadata["labels"]["batch.kubernetes.io/job-name"]
    return Pod(metadata["name"], metadata["uid"], job, None if index is None else int(index), spec, node)
