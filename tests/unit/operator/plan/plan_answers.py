"""What workers would say of stages that went well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pfd_operator.contract.outcome import (
    ErrorMetrics,
    ExplorationCounts,
    ExploreOutcome,
    LabelOutcome,
    PrepareOutcome,
    SelectOutcome,
    StageOutcome,
    StratumError,
    TrainingStrata,
    TrainOutcome,
    WorstStrata,
)
from pfd_operator.contract.result import LabelCounts, StageResult
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import SelectParams, StageKind, StageSpec
from tests.stage_results import labels_after, training, verdict

Answer = Callable[..., StageResult]
EXPORTED = "s3://pfd/light/stages/accept/model.pth"


def good_result(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker would say of a stage that went well."""
    iteration = spec.iteration
    result = StageResult(ok=True, digest=spec.digest, reused=reused, outcome=good_outcome(spec))
    match spec.stage:
        case StageKind.PREPARE:
            return result.model_copy(update={"digest": "cd" * 32})
        case StageKind.SELECT:
            paid = labels_after(iteration - 1) if iteration else 0
            return result.model_copy(update={"labels": LabelCounts(paid=paid)})
        case StageKind.LABEL:
            return result.model_copy(update={"labels": LabelCounts(paid=labels_after(iteration))})
        case StageKind.TRAIN:
            paid, uri = labels_after(iteration), f"s3://pfd/silicon/stages/{iteration}/best.pt"
            return result.model_copy(update={"labels": LabelCounts(paid=paid), "model_uri": uri})
        case StageKind.ACCEPT:
            return result.model_copy(update={"model_uri": EXPORTED})
    return result


def good_outcome(spec: StageSpec) -> StageOutcome:
    """What a stage finds when all is well."""
    match spec.stage:
        case StageKind.PREPARE:
            return PrepareOutcome(training_structures=dict.fromkeys(Apart, 2))
        case StageKind.EXPLORE:
            return ExploreOutcome(candidates=60, trajectories=1, exploded=0)
        case StageKind.SELECT:
            assert isinstance(spec.params, SelectParams)
            tasks = min(3, spec.params.frames) if spec.iteration else 5
            return SelectOutcome(tasks=tasks, labels=tasks)
        case StageKind.LABEL:
            return LabelOutcome(failed=0, reused=0)
        case StageKind.TRAIN:
            return training(spec.iteration)
        case StageKind.ACCEPT:
            return verdict()


def with_found(result: StageResult, **changes: Any) -> StageResult:
    """The same result, but for what the stage has found."""
    assert result.outcome is not None
    return result.model_copy(update={"outcome": result.outcome.model_copy(update=changes)})


def with_errors(result: StageResult, **errors: ErrorMetrics | None) -> StageResult:
    """The same result of a training, but for some of the errors."""
    trained = result.found(TrainOutcome)
    assert trained is not None
    return with_found(result, errors=trained.errors.model_copy(update=errors))


def talkative_result(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker would say that knows all that limits may be compared with."""
    result = good_result(spec, reused)
    trained = result.found(TrainOutcome)
    if trained is None:
        return result
    worst = StratumError(stratum="diamond/900K/10000bar", rmse=0.06123)
    known = {
        "force_rmse": 0.05333,
        "energy_rmse_per_atom_high": 0.003215,
        "virial_rmse_per_atom": 0.01254,
        "virial_rmse_per_atom_high": 0.01954,
        "worst_stratum": worst.stratum,
    }
    strata = WorstStrata(force=worst, energy=worst, virial=worst)
    return with_found(
        with_errors(result, **{name: found.model_copy(update=known) for name, found in trained.errors if found}),
        training_frames=140,
        worst_strata=TrainingStrata(prequential=strata, holdout=strata),
        exploration=ExplorationCounts(candidates=120, novel=13, trajectories=8, exploded=1),
    )


def refusing_result(spec: StageSpec, reused: bool = False) -> StageResult:
    """What a worker would say whose student is too slow."""
    result = good_result(spec, reused)
    return result.model_copy(update={"outcome": verdict(met=False)}) if spec.stage is StageKind.ACCEPT else result
