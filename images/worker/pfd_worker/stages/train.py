"""Train: measure the exploring model on labels it has not seen, train on all labels, measure on the hold-out."""

from __future__ import annotations

from pfd_operator.contract.stage import Input, TrainParams
from pfd_worker.families import DEEPMD, family_of
from pfd_worker.rounds.course import run_round
from pfd_worker.rounds.fine_tune import FineTuneRound
from pfd_worker.rounds.student import StudentRound
from pfd_worker.stage_context import StageContext, StageOutput


def run(context: StageContext) -> StageOutput:
    """Fine-tune the model of `prepare`, or train a student."""
    params = context.params(TrainParams)
    if params.student is not None:
        return run_round(StudentRound(context, params, DEEPMD))
    return run_round(FineTuneRound(context, params, family_of(context.one(Input.PREPARE))))
