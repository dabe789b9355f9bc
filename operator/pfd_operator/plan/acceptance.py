"""The verdict on a student: what accept measured, and the end that follows from it."""

from __future__ import annotations

from pfd_operator.api.conditions import OperatorReason, Phase
from pfd_operator.api.distill import DistillJobSpec
from pfd_operator.api.status import DistillJobStatus, ModelRecord
from pfd_operator.contract.result import StageResult

from .measured import decimal, errors_of
from .recipe import Ending


def take_acceptance(spec: DistillJobSpec, status: DistillJobStatus, result: StageResult) -> DistillJobStatus:
    """Return the status with what the accept stage measured, and the exported model."""
    asked = spec.acceptance.sizes[0]
    speedup = result.figures.get(f"speedup_{asked}")
    # an earlier version of the worker did not tell the size of the cell
    atoms = result.figures.get(f"atoms_{asked}", asked)
    best = status.model
    model = None
    if result.model_uri is not None and best is not None:
        errors = errors_of(result.metrics.get("holdout")) or best.errors
        model = ModelRecord(uri=result.model_uri, iteration=best.iteration, errors=errors)
    dft = {name: errors_of(result.metrics.get(key)) for name, key in (("teacher", "teacherDft"), ("student", "dft"))}
    return status.model_copy(
        update={
            "acceptance": result.checks,
            "speedup": f"{decimal(speedup)}× at {atoms:.0f} atoms" if speedup is not None else "",
            "model": model or best,
            "dft": {name: errors for name, errors in dft.items() if errors is not None},
        }
    )


def verdict(status: DistillJobStatus) -> Ending:
    """Return how a judged student ends its job; a refused one is kept."""
    refused = [check.message for check in status.acceptance if not check.met]
    if refused:
        message = "the student is refused: " + "; ".join(refused) + ". Its model is kept at status.model.uri"
        return Ending(Phase.REFUSED, OperatorReason.REFUSED, message)
    return Ending(Phase.CONVERGED, OperatorReason.ACCEPTED, "the student is accepted: every limit holds", ready=True)
