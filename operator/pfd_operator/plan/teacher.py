"""A FineTuneJob as the teacher: what keeps a DistillJob from starting with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.distill import DistillJobSpec, FineTuneJobRef
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.text import first_of

from .observed import ObservedTeacher
from .recipe import Hindrance


def teacher_hindrance(spec: DistillJobSpec, asked: FineTuneJobRef, teacher: ObservedTeacher | None) -> Hindrance | None:
    """Return why a DistillJob cannot start with this teacher, or not yet; None if it can."""
    if teacher is None:
        message = (
            f"waits for the teacher: there is no FineTuneJob {asked.name} in this namespace (spec.teacher.fineTuneJob)"
        )
        return Hindrance(OperatorReason.TEACHER_PENDING, message)
    elsewhere = _other_server(asked.name, spec.artifacts.s3, teacher.s3)
    different = elsewhere or _other_starts(spec, asked.name, teacher.apart)
    invalid = different or _not_explored(spec, asked.name, teacher.systems)
    if invalid:
        return Hindrance(OperatorReason.SPEC_INVALID, invalid)
    unready = _unready(asked, teacher)
    if unready is not None or teacher.record is None:
        return unready
    unknown = _no_common_system(spec, asked.name, teacher.record.systems)
    return Hindrance(OperatorReason.SPEC_INVALID, unknown) if unknown else None


def taken_over(teacher: ObservedTeacher | None) -> str:
    """Return which model of which job a DistillJob begins with, as the end of a sentence; nothing if of none."""
    if teacher is None or teacher.record is None:
        return ""
    record = teacher.record
    return f" with the model of iteration {record.iteration} of FineTuneJob {record.name}: {teacher.end}"


def _unready(asked: FineTuneJobRef, teacher: ObservedTeacher) -> Hindrance | None:
    """Return why the model that a FineTuneJob has now is not the one to begin with; None if it is."""
    if not teacher.phase.terminal:
        message = f"waits for the teacher: FineTuneJob {asked.name} has not ended"
        return Hindrance(OperatorReason.TEACHER_PENDING, message)
    if teacher.phase is Phase.CANCELLED:
        message = (
            f"waits for the teacher: FineTuneJob {asked.name} was stopped before its end, and may go on. Remove its "
            "spec.stop"
        )
        if teacher.record is not None:
            message += (
                "; so that it ends with the model it has, first lower its spec.budget.maxIterations to the iterations "
                "that are done. If that is iteration 0 alone, which maxIterations does not count, give the model as "
                f"spec.teacher.uri ({teacher.record.model_uri})"
            )
        return Hindrance(OperatorReason.TEACHER_PENDING, message)
    if asked.require_converged and teacher.record is not None and teacher.phase is not Phase.CONVERGED:
        message = (
            f"waits for the teacher to converge (spec.teacher.fineTuneJob.requireConverged): FineTuneJob {asked.name} "
            f"has a model, but {teacher.end}. Let it go on (a larger budget, or its spec.restart), or leave "
            "requireConverged out"
        )
        return Hindrance(OperatorReason.TEACHER_PENDING, message)
    if teacher.record is None:
        message = f"the teacher, FineTuneJob {asked.name}, has no model: {teacher.end}"
        return Hindrance(OperatorReason.TEACHER_FAILED, message, final=True)
    if teacher.phase is Phase.FAILED:
        message = (
            f"the teacher, FineTuneJob {asked.name}, broke down: {teacher.end}. This job starts when that one has gone "
            "on (its spec.restart) and ended otherwise; the model it has can be given as spec.teacher.uri "
            f"({teacher.record.model_uri})"
        )
        return Hindrance(OperatorReason.TEACHER_FAILED, message, final=True)
    return None


def _other_server(name: str, mine: S3Location, theirs: S3Location | None) -> str:
    if theirs is None or _server(theirs) == _server(mine):
        return ""
    return (
        f"spec.artifacts.s3.endpoint is {_server(mine)}, but the teacher, FineTuneJob {name}, keeps its model at "
        f"{_server(theirs)}, and a job reads and writes at one server only: give the teacher's, as it is "
        "written there, or copy its model and give that as spec.teacher.uri"
    )


def _other_starts(spec: DistillJobSpec, name: str, theirs: Apart | None) -> str:
    mine = spec.holdout.apart
    if spec.systems or theirs in (mine, None):
        return ""
    return (
        f"spec.holdout.apart is {mine}, but that of the teacher, FineTuneJob {name}, whose start structures this job "
        f"takes, is {theirs}: the student would learn from starts that are kept for the DFT hold-out. Say {theirs}, too"
    )


def _server(s3: S3Location) -> str:
    return s3.endpoint.rstrip("/") if s3.endpoint is not None else "not set (AWS)"


def _no_common_system(spec: DistillJobSpec, name: str, known: Collection[str]) -> str:
    mine, acceptance = set(spec.system_names), spec.acceptance
    if acceptance.dft_force_ratio is None or acceptance.dft_data or not mine or mine.intersection(known):
        return ""
    return (
        f"spec.acceptance.dftForceRatio is measured on the DFT hold-out of FineTuneJob {name}, whose systems are "
        f"{first_of(sorted(known), 5)}: give one of spec.systems the name of one of them, or DFT frames as "
        "spec.acceptance.dftData, or leave the limit out"
    )


def _not_explored(spec: DistillJobSpec, name: str, theirs: Sequence[str]) -> str:
    unfit = "" if spec.systems or not theirs else spec.exploration.unfit_for(theirs)
    return unfit and f"spec.{unfit}. This job has the systems of its teacher, FineTuneJob {name}"
