"""What a recipe remarks of settings that work, out of the spec and of what stages have found."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pfd_operator.api.job import Budget, JobSpec
from pfd_operator.api.status import TRAINING_STRUCTURES, Errors, JobStatus
from pfd_operator.contract.exploration import BAROSTAT_FS, HEATED_FS, Ensemble, ExplorationStage
from pfd_operator.contract.limits import ErrorLimits
from pfd_operator.contract.result import Caution, CautionReason
from pfd_operator.contract.stage import StageKind
from pfd_operator.contract.tasks import trajectories_of

from .budget import gpus_per_pod
from .convergence import QUANTITIES
from .strata import stages_in
from .types import Settings

_BROUGHT_BY = {
    Ensemble.NVT: ("the thermostat's way to its temperature", HEATED_FS),
    Ensemble.NPT: ("the barostat's way to its pressure", BAROSTAT_FS),
}
"""By ensemble, what takes MD to its conditions, and for how long."""

_ON_ONE_GPU = (StageKind.EXPLORE, StageKind.SELECT, StageKind.ACCEPT)


def made(remarks: Mapping[CautionReason, str]) -> list[Caution]:
    """Return those remarks that have words."""
    return [Caution(reason=reason, message=words) for reason, words in remarks.items() if words]


def limits_out_of_budget(limits: ErrorLimits, budget: Budget) -> str:
    """Say that the budget ends before the limits can have held as often as asked for; nothing if it does not."""
    asked, most = limits.consecutive, budget.max_iterations
    if asked <= most:
        return ""
    return (
        f"spec.convergence.consecutive asks for {asked} iterations in a row in which all limits hold, and "
        f"spec.budget.maxIterations allows {most}: the job cannot end as Converged. Raise the budget, or ask for fewer"
    )


def _missed(limits: ErrorLimits, errors: Errors | None, name: str) -> str:
    """Say which limits such errors exceed; nothing if they exceed none, or are not known."""
    parts = []
    for _, key, words, unit in QUANTITIES:
        limit, own = getattr(limits, key), getattr(errors, key, None)
        if limit is not None and own is not None and limit < float(own):
            parts.append(f"{words} {limit:g} {unit} ({name} {own})")
    return ", ".join(parts)


def not_learned(limits: ErrorLimits, status: JobStatus, noise: Errors | None = None) -> str:
    """Say that a model misses limits on its own training frames, so that labels are not what it lacks.

    Nothing is said where the labels are noisier than a limit: a model that has learned them errs by their noise.
    """
    missed = _missed(limits, status.training_errors, "there")
    if not missed or status.training_errors is None or status.consecutive or out_of_reach(limits, noise):
        return ""
    return (
        f"The newest model misses limits on {status.training_errors.frames} of the very frames it was trained on: "
        f"{missed}. More labels alone hardly help. Ask for more spec.training.steps (a restart may), or raise the limit"
    )


def out_of_reach(limits: ErrorLimits, noise: Errors | None) -> str:
    """Say which limits are below the noise of the labels themselves; nothing if none is, or none is known."""
    parts = _missed(limits, noise, "noise")
    if not parts or noise is None:
        return ""
    frames = f"{noise.frames} hold-out frame{'' if noise.frames == 1 else 's'}"
    return (
        f"Out of reach, by the noise of the labels themselves on {frames}: {parts}. "
        "Tighten spec.labeling.engine in a new job, or raise the limit"
    )


def gpus_idle(spec: JobSpec, settings: Settings) -> str:
    """Say which stages ask for more GPUs than they compute on; nothing if none does."""
    stages = (stage for stage in _ON_ONE_GPU if stage in type(spec.pods).model_fields)
    asked = {stage: gpus_per_pod(spec, stage, settings) for stage in stages}
    several = ", ".join(f"{stage} ({gpus})" for stage, gpus in asked.items() if gpus > 1)
    if not several:
        return ""
    return (
        f"Pods of these stages compute on one GPU and ask for several, idle and counted in gpuHours: {several}. "
        "Ask for 1 in spec.pods, and let spec.exploration.pods share the MD. Only train, and engines that can, use more"
    )


def structures_left_out(spec: JobSpec, status: JobStatus) -> str:
    """Say that there are more structures than trajectories will start from; nothing if each may have its turn.

    How many a file holds only prepare knows, and tells for all systems together. So this is said where it is sure, and
    not of one crowded system among others.
    """
    structures = status.counts.get(TRAINING_STRUCTURES)
    if structures is None or not spec.systems:
        return ""
    # iterations go on through the structures of a system, each once before any comes again
    each = trajectories_of(spec.system_names, spec.exploration, status.without_pressure)
    iterations = spec.budget.max_iterations
    most = each * iterations
    if structures <= most:
        return ""
    return (
        f"spec.systems has {structures} structures for training, and at most {most} of them are starts of MD: {each} "
        f"in each of {iterations} iterations (spec.budget.maxIterations). Ask for "
        f"{math.ceil(structures / most)} times the replicas or conditions (spec.exploration), or for more iterations"
    )


def not_equilibrated(stages: Mapping[str, Mapping[int, ExplorationStage]]) -> str:
    """Say that MD ends before thermostat or barostat have brought it where its strata say; nothing if it does not.

    Parameters
    ----------
    stages
        Of each system, by their place in the spec.
    """
    for number, stage in (each for mine in stages.values() for each in mine.items()):
        what, needed_fs = _BROUGHT_BY.get(stage.ensemble, ("", 0.0))
        if stage.femtoseconds < needed_fs:
            return (
                f"MD of spec.exploration.stages[{number}] is {stage.femtoseconds:g} fs long, and {what} takes "
                f"{needed_fs:g} fs: its frames are not at the conditions that their strata name, but between those and "
                f"the start's, and so are their errors. Give it {math.ceil(needed_fs / stage.timestep_fs)} steps"
            )
    return ""


def pressure_untrained(spec: JobSpec, status: JobStatus) -> str:
    """Say that MD at constant pressure rests on no label, since none has a virial; nothing if one has, or none need."""
    if not status.iterations:
        return ""
    last = status.iterations[-1]
    # one that is given tells nothing of the engine's labels
    which, labels = ("hold-out", last.holdout) if spec.holdout.labels else ("new", last.prequential)
    under_pressure = any(
        stage.ensemble is Ensemble.NPT
        for mine in stages_in(spec, status.without_pressure).values()
        for stage in mine.values()
    )
    if labels is None or labels.virial_rmse_per_atom is not None or not under_pressure:
        return ""
    return (
        f"no {which} label has a virial, and spec.exploration runs NPT: the pressure that moves a cell is the "
        "pre-trained model's, which no label corrects. Label with an engine that gives stress, or set ensemble NVT. "
        "Molecules and cells with an open direction run at constant volume in any case"
    )
