"""Prepare: check and resolve everything the user gave, before anything costs a GPU or a label."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.outcome import PrepareOutcome
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.stage import PrepareParams
from pfd_worker import stage_files
from pfd_worker.errors import data_invalid
from pfd_worker.frames import write_frames
from pfd_worker.md.cells import short_cells, without_pressure
from pfd_worker.preparation.data import given_data
from pfd_worker.preparation.dft_data import given_dft_frames
from pfd_worker.preparation.engine import check_engine
from pfd_worker.preparation.holdout import given_holdout
from pfd_worker.preparation.model import PreparedModel, prepare_model
from pfd_worker.preparation.starts import large_displacement, masses_not_taken, starts_of
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.start_pools import by_system, training_structures
from pfd_worker.store.conditions import check_conditional_puts, check_rights
from pfd_worker.summaries import PrepareSummary
from pfd_worker.training.deepmd_settings import base_input, check_input
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.student import student_model_section


def run(context: StageContext) -> StageOutput:
    """Check store, structures, pseudopotentials, data, model and training input; write structures and starts."""
    params = context.params(PrepareParams)
    check_rights(context.store)
    check_conditional_puts(context.store)
    digests: dict[str, str] = {}
    with_masses: set[str] = set()
    structures, starts = starts_of(context, params, digests, with_masses)
    data, left_out = given_data(context, params.data, "data", digests, with_masses)
    holdout, left_out_of_holdout = given_holdout(context, params, digests, with_masses)
    elements = sorted({symbol for atoms in [*starts, *data] for symbol in atoms.get_chemical_symbols()})
    check_engine(params.engine, starts)
    context.progress(30, "structures read")

    labelled = [*data, *holdout, *_dft_frames(context, params, elements)]
    model = prepare_model(context, params, starts, labelled, digests)
    _check_training(params, model, elements)
    context.progress(80, "model and training input checked")

    # what `checked_only` names must leave no trace here: jobs that differ in it share these files
    files = {name: context.workdir / name for name in (model.file.name, stage_files.STRUCTURES, stage_files.STARTS)}
    write_frames(files[stage_files.STRUCTURES], structures)
    write_frames(files[stage_files.STARTS], starts)
    if model.family is not None:
        files[stage_files.MODEL_SECTION] = context.workdir / stage_files.MODEL_SECTION
        files[stage_files.MODEL_SECTION].write_text(json.dumps(model.section, indent=1))
    if params.data:
        files[stage_files.GIVEN_DATA] = context.workdir / stage_files.GIVEN_DATA
        write_frames(files[stage_files.GIVEN_DATA], data)
    if holdout:
        files[stage_files.HOLD_OUT] = context.workdir / stage_files.HOLD_OUT
        write_frames(files[stage_files.HOLD_OUT], holdout)
    return StageOutput(
        files=files,
        summary=PrepareSummary(
            **model.origin, elements=elements, systems=list(by_system(structures)), inputs_sha256=digests
        ),
        outcome=PrepareOutcome(
            training_structures={apart: training_structures(starts, apart) for apart in Apart},
            without_pressure=without_pressure(starts),
        ),
        cautions=[
            model.caution,
            left_out,
            left_out_of_holdout,
            masses_not_taken(with_masses),
            large_displacement(params.systems, structures),
            short_cells(structures, model.cutoff),
        ],
        digest=digest_of([context.digest, digests]),
    )


def _dft_frames(context: StageContext, params: PrepareParams, elements: list[str]) -> Sequence[Atoms]:
    """Return what the student will be measured on, for a check: accept reads it again, as it may be changed till then.

    Raises
    ------
    StageError
        DataInvalid, also if no frame is of use.
    """
    if params.dft_data is None:
        return []
    dft = given_dft_frames(context, params.dft_data, elements)
    if dft.why_none is not None:
        raise data_invalid(f"{dft.why_none}: the student could not be measured on any. Give others")
    return dft.frames


def _check_training(params: PrepareParams, model: PreparedModel, elements: list[str]) -> None:
    """Check the input that train will make: for the student if there is one, else for the model itself."""
    if params.student is not None:
        check_input(base_input(params.training, student_model_section(params.student, elements), Purpose.SCRATCH))
    elif model.family is not None:
        model.family.check_input(model.family.base_input(params.training, model.section))
    else:
        raise ValueError("a calculator cannot be fine-tuned")
