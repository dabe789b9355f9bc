"""The jobs of the suite: every way in which one can end, some alone, some that depend on one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pfd_operator.contract.stage import StageKind
from tests.job_specs import distill_body, job_body

from .judge import Expected
from .pods import GRACE_SECONDS
from .worker import REFUSED, REJECTED

NEVER = {"forceRMSE": 1e-6, "consecutive": 2}
SHORT = {"maxIterations": 1, "maxLabels": 40}


@dataclass(frozen=True)
class Group:
    """Resources that are created together."""

    profile: str
    bodies: tuple[dict[str, Any], ...]

    @property
    def names(self) -> list[tuple[str, str]]:
        """Kind and name of each."""
        return [(body["kind"], body["metadata"]["name"]) for body in self.bodies]


def group(profile: str, number: int) -> Group:
    """Return the resources of a profile; a name begins with its profile's and ends with the number."""
    name = f"{profile}-{number:04d}"
    return Group(profile, tuple(_soon_gone(body) for body in _PROFILES[profile](name)))


def profile_of(name: str) -> str:
    """Return which resource of which profile this is: that of the reference run has the same."""
    return name.rpartition("-")[0]


def _soon_gone(body: dict[str, Any]) -> dict[str, Any]:
    """Return a resource whose pods are given little time to end: an hour of chaos has room for more."""
    stages = [stage.value for stage in StageKind if stage is not StageKind.ACCEPT or body["kind"] == "DistillJob"]
    pods = {stage: {"terminationGracePeriodSeconds": GRACE_SECONDS} for stage in stages}
    return body | {"spec": body["spec"] | {"pods": pods}}


def _converged(name: str) -> list[dict[str, Any]]:
    return [_fine_tune(name)]


def _label_budget(name: str) -> list[dict[str, Any]]:
    return [_fine_tune(name, convergence=NEVER, budget={"maxIterations": 4, "maxLabels": 8})]


def _max_iterations(name: str) -> list[dict[str, Any]]:
    return [_fine_tune(name, convergence=NEVER, budget=SHORT)]


def _twins(name: str) -> list[dict[str, Any]]:
    # the same bucket and prefix: stages and labels of one are the other's too
    profile, _, number = name.rpartition("-")
    names = [f"{profile}-{which}-{number}" for which in ("a", "b")]
    return [_fine_tune(each, prefix=name, convergence=NEVER, budget=SHORT) for each in names]


def _student(name: str) -> list[dict[str, Any]]:
    profile, _, number = name.rpartition("-")
    teacher = f"{profile}-teacher-{number}"
    student = distill_body(f"{profile}-{number}", teacher={"fineTuneJob": {"name": teacher}}, **_artifacts(name))
    return [student, _fine_tune(teacher, convergence=NEVER, budget=SHORT)]


def _rejected(name: str) -> list[dict[str, Any]]:
    systems = [{"name": "diamond", "structures": {"inline": "2\n\nSi 0 0 0\nSi 1 1 1\n"}}]
    teacher = {"uri": "s3://pfd/models/teacher.pt"}
    return [distill_body(name, teacher=teacher, systems=systems, **_artifacts(name))]


def _fine_tune(name: str, prefix: str = "", **changes: Any) -> dict[str, Any]:
    return job_body(name, **_artifacts(prefix or name), **changes)


def _artifacts(prefix: str) -> Mapping[str, Any]:
    return {"artifacts": {"s3": {"bucket": "pfd", "prefix": prefix, "endpoint": "http://s3:7070"}}}


_PROFILES = {
    "converged": _converged,
    "student": _student,
    "twins": _twins,
    "label-budget": _label_budget,
    REJECTED: _rejected,
    "max-iterations": _max_iterations,
    REFUSED: _converged,
}
PROFILES = tuple(_PROFILES)
_SPENT = Expected("MaxIterations", "MaxIterationsReached", (False, False))
EXPECTED = {
    "converged": Expected("Converged", "Converged", (False, True, True)),
    "student": Expected("Converged", "Accepted", (True, True)),
    "student-teacher": _SPENT,
    "twins-a": _SPENT,
    "twins-b": _SPENT,
    "label-budget": Expected("BudgetExhausted", "LabelBudgetExhausted", (False, False)),
    REJECTED: Expected("Refused", "Refused", (True, True)),
    "max-iterations": _SPENT,
    REFUSED: Expected("Failed", "TrainingTemplateInvalid"),
}
"""By `profile_of`."""
