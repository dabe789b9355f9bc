"""The model that is kept may be of an earlier iteration than the one that is judged: whether it holds the limits."""

from __future__ import annotations

from collections.abc import Sequence

from pfd_operator.api.status import IterationRecord, JobStatus, ModelRecord
from pfd_operator.contract.limits import Convergence

from .convergence import QUANTITIES, Check, Criteria, Measure
from .measured import recorded


def converged(limits: Convergence, status: JobStatus) -> bool:
    """Say whether the limits held in as many iterations in a row as asked for, and hold for the model that is kept.

    That is one of an earlier iteration if the errors of this one's are surely larger.
    """
    return status.consecutive >= limits.consecutive and not kept_model_misses(limits, status.model, status.iterations)


def kept_model_misses(limits: Convergence, model: ModelRecord | None, iterations: Sequence[IterationRecord]) -> str:
    """Say which limits the kept model exceeds on the hold-out; nothing if none, or if its errors are not known.

    Of an iteration whose record is thin, or that has none, only the errors themselves are known, which the model has.
    So it is of a model that no iteration trained.
    """
    if model is None or model.errors is None:
        return ""
    whose = f"iteration {model.iteration}'s" if model.fine_tuned else "the pre-trained one, shifted"
    place = f"of the model that is kept, {whose}, on the hold-out"
    own = (each for each in iterations if each.iteration == model.iteration and each.message and model.fine_tuned)
    record = next(own, None)
    if record is not None and record.holdout is not None:
        # the exploration is not the model's own
        errors_only = limits.model_copy(update={"novel_fraction": None, "exploded_fraction": None})
        verdict = Criteria(errors_only, {"holdout": Measure(place)}).judge(recorded(record))
        return "" if verdict.met else verdict.message
    checks = [
        Check(f"the {words} {place}", float(value), limit, unit)
        for _, key, words, unit in QUANTITIES
        if (limit := getattr(limits, key)) is not None and (value := getattr(model.errors, key)) is not None
    ]
    return "; ".join(str(check) for check in checks if check.ratio > 1)
