"""The verdict on a student: what accept measured, and the end that follows from it."""

from __future__ import annotations

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.status import DistillJobStatus, ModelRecord
from pfd_operator.contract.outcome import AcceptOutcome, SpeedUp

from .measured import decimal, errors_of
from .recipe import Ending


def take_acceptance(
    spec: DistillJobSpec, status: DistillJobStatus, judged: AcceptOutcome, model_uri: str | None
) -> DistillJobStatus:
    """Return the status with what the accept stage measured, and the exported model."""
    asked = spec.acceptance.sizes[0]
    speed_up = next((each for each in judged.speed_ups if each.atoms_asked == asked), None)
    best = status.model
    model = None
    if model_uri is not None and best is not None:
        errors = errors_of(judged.errors.holdout) or best.errors
        model = ModelRecord(uri=model_uri, iteration=best.iteration, errors=errors)
    dft = {"teacher": errors_of(judged.errors.teacher_dft), "student": errors_of(judged.errors.dft)}
    return status.model_copy(
        update={
            "acceptance": judged.checks,
            "speedup": _words(speed_up) if speed_up is not None else "",
            "measured": _beside(judged, asked),
            "model": model or best,
            "dft": {name: errors for name, errors in dft.items() if errors is not None},
        }
    )


def _beside(judged: AcceptOutcome, asked: int) -> list[str]:
    """Return what was measured and is no limit's: a reader of the status sees it without the card."""
    found = [f"speed-up {_words(each)}" for each in judged.speed_ups if each.atoms_asked != asked]
    if judged.nve_drift is not None:
        found.append(f"energy drift {decimal(judged.nve_drift)} meV/atom/ps")
    return found


def _words(speed_up: SpeedUp) -> str:
    return f"{decimal(speed_up.factor)}× at {speed_up.atoms} atoms"


def verdict(status: DistillJobStatus) -> Ending:
    """Return how a judged student ends its job; a refused one is kept."""
    refused = [check.message for check in status.acceptance if not check.met]
    if refused:
        message = "the student is refused: " + "; ".join(refused) + ". Its model is kept at status.model.uri"
        return Ending(Phase.REFUSED, OperatorReason.REFUSED, message)
    return Ending(Phase.CONVERGED, OperatorReason.ACCEPTED, "the student is accepted: every limit holds", ready=True)
