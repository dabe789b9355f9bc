"""A job whose stages have several pods with a GPU each, and pods of it that have ended."""

from __future__ import annotations

from pfd_operator.plan.observed import ObservedPod
from pfd_operator.plan.types import PlannedJob
from tests.unit.operator.plan.plan_answers import good_result
from tests.unit.operator.plan.plan_samples import GPU, after, pod

FOUR_PODS = {
    "exploration": {"stages": [{"temperaturesKelvin": [300, 600, 900, 1200]}], "pods": 4},
    "pods": {"explore": GPU, "label": GPU},
    "budget": {"maxIterations": 4, "maxLabels": 40, "gpuHours": 4},
}


def done_pods(planned: PlannedJob, count: int, seconds: float) -> list[ObservedPod]:
    ended = {"exit_code": 0, "started_at": after(0), "finished_at": after(seconds), "result": good_result(planned.spec)}
    return [pod("Succeeded", name=f"done-{index}", index=index, **ended) for index in range(count)]
