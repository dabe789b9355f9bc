"""What a round leaves: models, samples and features for later stages, the report, and what the planner is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pfd_operator.contract.outcome import TrainOutcome
from pfd_operator.contract.strata import joined_names
from pfd_worker import stage_files
from pfd_worker.frames import GIVEN, write_frames
from pfd_worker.models.base import FEATURE_FORM, AtomisticModel
from pfd_worker.models.features import features_of_labelled
from pfd_worker.report.history import BASELINES
from pfd_worker.report.writing import RoundResult, write_report
from pfd_worker.rounds.base import Round
from pfd_worker.rounds.best_dynamics import BestDynamics, dynamics_of_best
from pfd_worker.rounds.contender import Contender, Opened
from pfd_worker.rounds.explorer_check import ExplorerCheck
from pfd_worker.rounds.label_check import LabelCheck
from pfd_worker.rounds.samples import Samples
from pfd_worker.stage_context import StageOutput
from pfd_worker.summaries import PrepareSummary, TrainSummary
from pfd_worker.training.runner import Trained


def round_output(
    round_: Round,
    samples: Samples,
    training: Trained | None,
    best: Opened,
    explorer: AtomisticModel,
    explorer_check: ExplorerCheck,
    label_check: LabelCheck,
) -> StageOutput:
    """Write all files of a round.

    Parameters
    ----------
    round_, samples, explorer_check, label_check
        Of the round.
    training
        None if there was nothing to train on.
    best
        So far.
    explorer
        The model that explores next.
    """
    data = _data(round_, samples, explorer) | _evaluation(round_, training)
    dynamics = dynamics_of_best(round_, samples.labels, best.model)
    report = _report(round_, samples, best, explorer_check, dynamics)
    return StageOutput(
        files=report | label_check.write(round_.folder) | data,
        summary=_summary(round_, best.contender, explorer_check.error_of_novelty, dynamics.digest),
        outcome=TrainOutcome(
            training_frames=len(samples.dataset),
            given_frames=_given(samples),
            holdout_strata=joined_names(samples.strata),
            resumed_from_step=0 if training is None else training.resumed_from_step,
            exploration=explorer_check.exploration,
            errors=round_.measures.errors,
            worst_strata=round_.measures.worst_strata,
            best_iteration=best.contender.iteration,
        ),
        model=round_.family.best_file,
        cautions=[
            round_.caution(explorer, samples.dataset),
            label_check.caution(best.contender.metrics),
            *samples.cautions,
        ],
    )


def _given(samples: Samples) -> int:
    """Return how many frames to train on are of the user's own files."""
    return sum(atoms.info.get("stratum") == GIVEN for atoms in samples.dataset)


def _data(round_: Round, samples: Samples, explorer: AtomisticModel) -> dict[str, Path]:
    """Return the models, which are in their files, and write what was trained on and measured with."""
    names = [round_.family.model_file, round_.family.best_file]
    names += [stage_files.DATASET, stage_files.DATASET_FEATURES, stage_files.HOLD_OUT]
    files = {name: round_.folder / name for name in names}
    write_frames(files[stage_files.DATASET], samples.dataset)
    write_frames(files[stage_files.HOLD_OUT], samples.holdout)
    elements = round_.prepare.told(PrepareSummary)["elements"]
    np.save(files[stage_files.DATASET_FEATURES], features_of_labelled(explorer, samples.dataset, elements))
    return files


def _evaluation(round_: Round, training: Trained | None) -> dict[str, Path]:
    """Write what was measured; return it with the learning curve."""
    files = {stage_files.EVALUATION: round_.folder / stage_files.EVALUATION}
    ran = {} if training is None else training.to_json()
    report = {"iteration": round_.context.spec.iteration, **round_.measures.reports, "training": ran}
    files[stage_files.EVALUATION].write_text(json.dumps(report, indent=1))
    # an attempt that found the last checkpoint had nothing left to train, and so draws no curve
    if training is not None and training.curve.exists():
        files[training.curve.name] = training.curve
    return files


def _report(
    round_: Round, samples: Samples, best: Opened, explorer_check: ExplorerCheck, dynamics: BestDynamics
) -> dict[str, Path]:
    """Write the report; return it with the AIMD that its MD is compared with."""
    result = RoundResult(
        reports=round_.measures.reports,
        force_error_bound=explorer_check.force_error_bound,
        exploration=explorer_check.exploration,
        holdout=samples.holdout,
        best_predictions=best.predictions,
        best_iteration=best.contender.iteration,
        dynamics=dynamics.measured,
        training_labels=len(samples.dataset),
        given_labels=_given(samples),
    )
    return {**write_report(round_.context, round_.previous, result), stage_files.AIMD: dynamics.aimd}


def _summary(
    round_: Round, best: Contender, error_of_novelty: float | None, dynamics_digest: str | None
) -> TrainSummary:
    before = {} if round_.previous is None else round_.previous.told(TrainSummary)["metrics"]
    baselines = {name: before[name] for name in BASELINES if name in before}
    return TrainSummary(
        checkpoints=round_.context.work_digest,
        best_iteration=best.iteration,
        lowest={quantity: squares.tolist() for quantity, squares in best.lowest.items()},
        baseline={quantity: squares.tolist() for quantity, squares in round_.baseline.items()},
        metrics={**baselines, **round_.measures.errors.to_json()},
        error_of_novelty=error_of_novelty,
        feature_form=FEATURE_FORM,
        dynamics=dynamics_digest,
    )
