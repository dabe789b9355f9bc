"""Each job of the suite ends as it was made to if nothing goes wrong: the planner, with the suite's worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageSpec
from pfd_operator.plan.observed import ObservedPod
from pfd_operator.plan.types import CreateJob, PlannedJob, Resource
from pfd_worker.errors import StageError
from pfd_worker.store.objects import DirectoryStore
from tests.chaos.judge import Ending
from tests.chaos.resources import EXPECTED, PROFILES, group, profile_of
from tests.chaos.worker import Life, Worker
from tests.unit.operator.plan.plan_samples import START, Run, failed_pod, job_of, pod

SPECS: dict[str, type[FineTuneJobSpec] | type[DistillJobSpec]] = {
    "FineTuneJob": FineTuneJobSpec,
    "DistillJob": DistillJobSpec,
}
BODIES = [
    pytest.param(body, id=profile_of(body["metadata"]["name"])) for name in PROFILES for body in group(name, 1).bodies
]


class WorkerOfAFolder(Worker):
    """The suite's worker on a folder in place of S3."""

    def __init__(self, folder: Path) -> None:
        super().__init__(S3Location(bucket="pfd"), folder / "labels", "seed")
        self._folder = folder

    def store(self, spec: StageSpec) -> Any:
        assert spec.store.s3 is not None
        return DirectoryStore(self._folder / spec.store.s3.prefix)


async def pod_of(worker: Worker, planned: PlannedJob, index: int | None) -> ObservedPod:
    name = "pod" if index is None else f"pod-{index}"
    try:
        result = await worker.run(planned.spec, index, Life())
    except StageError as error:
        failed = StageResult(ok=False, reason=error.reason, message=error.message)
        return failed_pod(int(error.exit_code), name=name, index=index, result=failed)
    return pod("Succeeded", name=name, index=index, exit_code=0, finished_at=START, result=result)


@pytest.mark.parametrize("body", BODIES)
async def test_without_faults_it_ends_as_expected(body: dict[str, Any], tmp_path: Path) -> None:
    worker, name = WorkerOfAFolder(tmp_path), body["metadata"]["name"]
    spec = SPECS[body["kind"]].model_validate(body["spec"])
    run = Run(Resource(body["kind"], "chaos", name, "5f0c2a4e-0000-4000-8000-000000000001", 1, spec))
    run.step()
    while jobs := [action.job for action in run.decision.actions if isinstance(action, CreateJob)]:
        (planned,) = jobs
        indexes = [None] if planned.completions is None else [*range(planned.completions)]
        pods = [await pod_of(worker, planned, index) for index in indexes]
        done = sum(each.phase == "Succeeded" for each in pods) if planned.completions else 0
        run.step(job_of(planned, *pods, succeeded_indexes=done), seconds=1)
    assert EXPECTED[profile_of(name)].wrong(Ending.of(run.status.to_json())) == ""
