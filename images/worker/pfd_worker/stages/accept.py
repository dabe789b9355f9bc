"""Accept: freeze and compress the best student, measure it against its teacher, judge it, export it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.digest import digest_of, seed_of
from pfd_operator.contract.outcome import AcceptanceCheck, AcceptOutcome, SpeedUp
from pfd_operator.contract.stage import AcceptParams, Input
from pfd_operator.contract.tasks import stages_of_systems
from pfd_worker import stage_files
from pfd_worker.acceptance.dft import NO_DFT, DftFrames, frames_of_the_student
from pfd_worker.acceptance.examination import Examination
from pfd_worker.acceptance.json_form import as_json
from pfd_worker.acceptance.results import Results
from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.acceptance.verdict import Check, judge
from pfd_worker.errors import preempted
from pfd_worker.export.card import (
    MdConditions,
    MdRange,
    ModelCard,
    Range,
    TrainingCard,
    architecture_of,
    measured_kelvin,
)
from pfd_worker.export.folder import ModelFiles, export_model
from pfd_worker.families import DEEPMD, open_model
from pfd_worker.frames import read_frames
from pfd_worker.machine import machine
from pfd_worker.models.base import AtomisticModel
from pfd_worker.models.frozen import FrozenModel, compress, freeze
from pfd_worker.preparation.data import check_data
from pfd_worker.preparation.dft_data import given_dft_frames
from pfd_worker.report.history import read_history
from pfd_worker.report.writing import REPORT_FILES
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.start_pools import by_system
from pfd_worker.store.manifests import Manifest
from pfd_worker.summaries import PrepareSummary, TrainSummary
from pfd_worker.training.student import student_model_section
from pfd_worker.versions import package_versions


def run(context: StageContext) -> StageOutput:
    """Judge the student; a refused one is exported, too.

    Raises
    ------
    StageError
        Preempted, if the pod was told to stop: nothing is committed.
    """
    params = context.params(AcceptParams)
    prepare, train = context.one(Input.PREPARE), context.one(Input.TRAIN)
    files = _frozen(context.fetch(train, DEEPMD.best_file), context.workdir, params.student.compress)
    model = next(reversed(files))
    context.progress(3, "the student is frozen" + (" and compressed" if params.student.compress else ""))
    teacher = open_model(context, prepare)
    dft = _dft_frames(context, params, prepare, teacher)
    structures = _structures(read_frames(context.fetch(prepare, stage_files.STRUCTURES)))
    examination = Examination(
        teacher=teacher,
        student=FrozenModel(files[model]),
        structures=structures,
        acceptance=params.acceptance,
        stages=stages_of_systems(structures, params.exploration),
        seed=seed_of(context.spec.seed, "accept"),
        stopping=context.stopping,
        progress=context.progress,
    )
    results = examination.run(read_frames(context.fetch(train, stage_files.HOLD_OUT)), dft)
    checks = judge(params.acceptance, results)
    card = _card(context, params, prepare, train, examination, results, checks)
    exported = ModelFiles(
        context.fetch(train, DEEPMD.best_file), files[stage_files.FROZEN], files.get(stage_files.COMPRESSED)
    )
    sample = supercell_of_size(examination.structures[examination.speed_system], params.acceptance.sizes[0])
    files = export_model(context.workdir / "model", exported, sample, card)
    report = {**as_json(results), "errors": results.errors.to_json(), "checks": as_json(checks)}
    # beside the model that the status then names, as after every training
    files |= {name: context.fetch(train, name) for name in (*REPORT_FILES, stage_files.DATASET, stage_files.HOLD_OUT)}
    files[stage_files.ACCEPTANCE] = context.workdir / stage_files.ACCEPTANCE
    files[stage_files.ACCEPTANCE].write_text(json.dumps(report, indent=1))
    if context.stopping.is_set():
        raise preempted("stopped before the verdict was stored; the student is judged anew.")
    return StageOutput(
        files=files,
        outcome=AcceptOutcome(
            errors=results.errors,
            checks=[AcceptanceCheck(name=check.name, met=check.met, message=check.message) for check in checks],
            speed_ups=[
                SpeedUp(atoms_asked=asked, atoms=results.cell_sizes[asked], factor=round(factor, 3))
                for asked, factor in results.speed_up.items()
            ],
            nve_drift=results.largest_drift,
        ),
        model=model,
        cautions=[*dft.cautions, *results.cautions],
        # the next attempt may find another file at the same address
        digest=digest_of([context.digest, dft.files]) if dft.files else None,
    )


def _dft_frames(context: StageContext, params: AcceptParams, prepare: Manifest, teacher: AtomisticModel) -> DftFrames:
    """Return the DFT frames that are measured on: the user's own, or those of the teacher's hold-out that are of use.

    Raises
    ------
    StageError
        DataInvalid, naming file and frame.
    """
    told = prepare.told(PrepareSummary)
    if params.acceptance.dft_data is not None:
        dft = given_dft_frames(context, params.acceptance.dft_data, told["elements"])
        check_data(teacher, dft.frames, context.spec.seed)
        return dft
    if params.dft_holdout is None:
        return NO_DFT
    frames = read_frames(context.fetch_from(params.dft_holdout, stage_files.HOLD_OUT))
    return frames_of_the_student(frames, "the teacher's DFT hold-out", told["elements"], told["systems"])


def _card(
    context: StageContext,
    params: AcceptParams,
    prepare: Manifest,
    train: Manifest,
    examination: Examination,
    results: Results,
    checks: list[Check],
) -> ModelCard:
    """Return what is known of the student."""
    spec = context.spec
    elements = prepare.told(PrepareSummary)["elements"]
    sample = examination.speed_system
    return ModelCard(
        name=f"{spec.job.namespace}/{spec.job.name}",
        created=datetime.now(UTC).date().isoformat(),
        architecture=architecture_of(student_model_section(params.student, elements)),
        type_map=elements,
        training=_training_card(context, params, prepare, train),
        conditions=MdConditions.first_of(
            examination.stages[sample].values(), examination.structures[sample], spec.seed
        ),
        results=results,
        machine=machine(),
        checks=checks,
        versions=package_versions(),
    )


def _training_card(context: StageContext, params: AcceptParams, prepare: Manifest, train: Manifest) -> TrainingCard:
    best, frames = train.told(TrainSummary)["best_iteration"], read_frames(context.fetch(train, stage_files.DATASET))
    if best is None:
        raise ValueError("a student was trained")
    # later rounds added to the end what the exported student has not seen
    record = read_history(context, train).record(best)
    mine = frames if record is None else frames[: record.training_labels]
    strata = {system: {str(atoms.info["stratum"]) for atoms in own} for system, own in by_system(mine).items()}
    every = MdRange.of(set().union(*strata.values()))
    return TrainingCard(
        teacher=_teacher(params, prepare),
        teacher_sha256=prepare.told(PrepareSummary)["inputs_sha256"].get("model"),
        reference=params.reference,
        frames=dict(Counter(str(atoms.info["system"]) for atoms in mine)),
        systems={system: MdRange.of(own) for system, own in strata.items()},
        temperatures_kelvin=every.temperatures_kelvin,
        pressures_bar=every.pressures_bar,
        measured_kelvin=Range.of(measured_kelvin(mine)),
        rounds=best,
        seed=context.spec.seed,
    )


def _teacher(params: AcceptParams, prepare: Manifest) -> str:
    """Return the name and address that the teacher is known by."""
    told = prepare.told(PrepareSummary)
    source = told.get("calculator") or told["source"]
    return source if params.teacher is None else f"FineTuneJob {params.teacher} ({source})"


def _frozen(checkpoint: Path, folder: Path, compressed: bool) -> dict[str, Path]:
    """Write the models for users; the last is the one to run."""
    files = {stage_files.FROZEN: folder / stage_files.FROZEN}
    freeze(checkpoint, files[stage_files.FROZEN])
    if compressed:
        files[stage_files.COMPRESSED] = folder / stage_files.COMPRESSED
        compress(files[stage_files.FROZEN], files[stage_files.COMPRESSED])
    return files


def _structures(structures: list[Atoms]) -> dict[str, Atoms]:
    """Return the first structure of each system: as it was given, since strain and vacancies stay in MD for good.

    The first whatever the hold-out keeps apart, as users know what they put first. Errors tell of the others.
    """
    return {system: mine[0] for system, mine in by_system(structures).items()}
