"""Accept: freeze and compress the best student, measure it against its teacher, judge it, export it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.result import AcceptanceCheck
from pfd_operator.contract.settings import Ensemble, ExplorationStage
from pfd_operator.contract.stage import AcceptParams
from pfd_worker.acceptance.examination import Examination, limits_of
from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.acceptance.verdict import Check, judge
from pfd_worker.export.card import Card
from pfd_worker.export.inputs import write_inputs
from pfd_worker.frames import read_frames
from pfd_worker.models.frozen import FrozenModel, compress, freeze
from pfd_worker.models.opening import open_model
from pfd_worker.preparation.starts import STARTS_FILE
from pfd_worker.rounds.base import BEST_FILE
from pfd_worker.stage_context import Manifest, StageContext, StageOutput
from pfd_worker.structures import holdout_starts
from pfd_worker.training.student import student_model_section
from pfd_worker.versions import package_versions

_MESSAGE_MAX = 200


def run(context: StageContext) -> StageOutput:
    """Judge the student; a refused one is exported, too."""
    params = cast(AcceptParams, context.spec.params)
    prepare, train = context.input("prepare")[0], context.input("train")[0]
    files = _frozen(context.fetch(train, BEST_FILE), context.workdir, params.student.compress)
    model = next(reversed(files))
    context.progress(3, "the student is frozen" + (" and compressed" if params.student.compress else ""))
    examination = Examination(
        teacher=open_model(context, prepare),
        student=FrozenModel(files[model]),
        start=_start(read_frames(context.fetch(prepare, STARTS_FILE))),
        acceptance=params.acceptance,
        exploration=params.exploration,
        seed=seed_of(context.spec.seed, "accept"),
        stopping=context.stopping,
        progress=context.progress,
    )
    dft = read_frames(context.fetch_from(params.dft_holdout, "holdout.extxyz")) if params.dft_holdout else []
    figures = examination.run(read_frames(context.fetch(train, "holdout.extxyz")), dft)
    checks = judge(limits_of(params.acceptance), figures)
    names = _export(context, params, prepare, train, examination, checks, list(files))
    files |= {name: context.workdir / name for name in names}
    report = {**examination.to_json(), "checks": [vars(check) for check in checks]}
    files["acceptance.json"] = context.workdir / "acceptance.json"
    files["acceptance.json"].write_text(json.dumps(report, indent=1))
    return StageOutput(
        files=files,
        summary={"accepted": all(check.met for check in checks), "best_iteration": train.summary["best_iteration"]},
        metrics=examination.metrics,
        model=model,
        checks=[
            AcceptanceCheck(name=check.name, met=check.met, message=check.message[:_MESSAGE_MAX]) for check in checks
        ],
        figures={f"speedup_{atoms}": round(factor, 3) for atoms, factor in figures.speed_up.items()},
    )


def _export(
    context: StageContext,
    params: AcceptParams,
    prepare: Manifest,
    train: Manifest,
    examination: Examination,
    checks: list[Check],
    models: list[str],
) -> list[str]:
    """Write inputs and card beside the models; return their names."""
    stage = params.exploration.stages[0]
    elements: list[str] = prepare.summary["type_map"]
    inputs = write_inputs(
        context.workdir,
        supercell_of_size(examination.start, params.acceptance.sizes[0]),
        elements,
        models[-1],
        stage.temperatures_kelvin[0],
        stage.pressures_bar[0],
        stage.timestep_fs,
        context.spec.seed,
    )
    section = student_model_section(params.student, elements)
    card = Card(
        name=f"{context.spec.job.namespace}/{context.spec.job.name}",
        accepted=all(check.met for check in checks),
        elements=elements,
        teacher=f"family {prepare.summary['family']}, prepared as {prepare.digest[:12]}",
        training_frames=int(train.result.counts["dataset"]),
        conditions=[_condition(each) for each in params.exploration.stages],
        errors=examination.metrics,
        speed=examination.speed,
        checks=checks,
        model_section=section,
        packages=package_versions(),
    )
    return [*inputs, *card.write(context.workdir, [*models, *inputs])]


def _condition(stage: ExplorationStage) -> str:
    temperatures = ", ".join(f"{value:g}" for value in stage.temperatures_kelvin)
    pressures = ", ".join(f"{value:g}" for value in stage.pressures_bar)
    at = f" at {pressures} bar" if stage.ensemble is Ensemble.NPT else ""
    return f"{stage.ensemble.value}, {temperatures} K{at}"


def _frozen(checkpoint: Path, folder: Path, compressed: bool) -> dict[str, Path]:
    """Write the models for users; the last is the one to run."""
    files = {"frozen.pth": folder / "frozen.pth"}
    freeze(checkpoint, files["frozen.pth"])
    if compressed:
        files["compressed.pth"] = folder / "compressed.pth"
        compress(files["frozen.pth"], files["compressed.pth"])
    return files


def _start(starts: list[Atoms]) -> Atoms:
    """Return a start that no training trajectory began from."""
    return holdout_starts([atoms for atoms in starts if atoms.info["system"] == starts[0].info["system"]])[0]
