"""Jobs whose iterations are done again: how they are asked for, and what is compared."""

from __future__ import annotations

from functools import partial
from typing import Any

from pfd_operator.api.conditions import Phase
from pfd_operator.api.status import JobStatus
from pfd_operator.contract.stage import SelectParams, StageKind
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.plan_answers import good_result
from tests.unit.operator.plan.plan_samples import Run, resource

FOUND = partial(good_result, reused=True)


def restart(iteration: int, word: str = "again") -> dict[str, Any]:
    return {"restart": {"fromIteration": iteration, "id": word}}


def reasons(run: Run) -> list[str]:
    return [event.reason for event in run.decision.events]


def numbers(status: JobStatus) -> list[int]:
    return [record.iteration for record in status.iterations]


def budget(labels: int, iterations: int = 4) -> dict[str, Any]:
    return {"budget": {"maxIterations": iterations, "maxLabels": labels}}


def frames(planned: PlannedJob) -> int:
    assert isinstance(planned.spec.params, SelectParams)
    return planned.spec.params.frames


def digests(status: JobStatus) -> dict[tuple[int, StageKind], str]:
    return {(record.iteration, record.stage): record.digest for record in status.stages}


def paid(status: JobStatus) -> list[tuple[int, int]]:
    return [(record.iteration, record.labels) for record in status.iterations]


def converged(labels: int = 12) -> Run:
    """A job that took 6, 9 and 12 labels for iterations 0, 1 and 2."""
    run = Run(resource(**budget(labels)))
    assert run.to_the_end().phase is Phase.CONVERGED
    assert run.status.labels.paid == 12
    return run
