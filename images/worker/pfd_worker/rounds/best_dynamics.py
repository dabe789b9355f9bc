"""MD with the best model, for the report: what the round before has measured of the same one is taken from there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_worker import stage_files
from pfd_worker.md.replay import read_aimd, write_aimd
from pfd_worker.models.base import AtomisticModel
from pfd_worker.report.dynamics import Dynamics, dynamics_digest, measure_dynamics
from pfd_worker.rounds.base import Round
from pfd_worker.rounds.labels import aimd_runs
from pfd_worker.summaries import TrainSummary


@dataclass(frozen=True)
class BestDynamics:
    """MD of the best model beside the job's AIMD."""

    measured: Dynamics | None
    digest: str | None
    """Of all that decides what is measured; None if nothing was."""
    aimd: Path
    """The AIMD, which is compared with as it is in this file."""


def dynamics_of_best(round_: Round, labels: list[Atoms], model: AtomisticModel) -> BestDynamics:
    """Return the MD of the best model, whose file is in the round's folder: it is not run again if nothing has changed.

    Parameters
    ----------
    labels
        Of this round: the first have the AIMD among them.
    model
        The best one.
    """
    aimd = round_.folder / stage_files.AIMD
    write_aimd(aimd, aimd_runs(round_.context, round_.previous, labels))
    steps, seed = round_.params.training.steps, seed_of(round_.context.spec.seed, "dynamics")
    digest = dynamics_digest(round_.folder / round_.family.best_file, aimd, steps, seed)
    measured = _measured_before(round_, digest)
    if measured is None:
        round_.context.progress(99, "MD with the best model, for the report")
        measured = measure_dynamics(model, read_aimd(aimd), steps, seed, round_.context.stopping)
    return BestDynamics(measured, None if measured is None else digest, aimd)


def _measured_before(round_: Round, digest: str) -> Dynamics | None:
    previous = round_.previous
    if previous is None or previous.told(TrainSummary)["dynamics"] != digest:
        return None
    report = json.loads(round_.context.fetch(previous, stage_files.REPORT_JSON).read_text())
    return Dynamics.from_json(report["dynamics"])
