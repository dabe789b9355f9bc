"""The model a job starts from: its branch cut out, its elements and itself tried."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from pfd_operator.contract.engine import AseEngine
from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.result import Caution, CautionReason, Reason
from pfd_operator.contract.stage import PrepareParams
from pfd_operator.contract.text import first_of
from pfd_worker import stage_files
from pfd_worker.errors import StageError, user_error
from pfd_worker.families import FAMILIES, Family
from pfd_worker.frames import SOURCE
from pfd_worker.machine_faults import says_machine_fault
from pfd_worker.models.base import AtomisticModel
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.models.checkpoint import CheckpointInfo
from pfd_worker.out_of_memory import is_out_of_memory
from pfd_worker.preparation.data import check_data
from pfd_worker.pretrained import fetch_model
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import sha256_of
from pfd_worker.summaries import ModelOrigin


@dataclass(frozen=True)
class PreparedModel:
    """What was found out about the model."""

    file: Path
    family: Family | None
    """None: a calculator, which cannot be trained."""
    section: dict[str, Any]
    """Model section of the input it was made with; empty for a calculator."""
    origin: ModelOrigin
    cutoff: float
    """In Å; 0 if it is not known."""
    caution: Caution | None = None


def prepare_model(
    context: StageContext, params: PrepareParams, starts: list[Atoms], data: list[Atoms], digests: dict[str, str]
) -> PreparedModel:
    """Fetch the model and try it; compare data with it.

    Parameters
    ----------
    starts, data
        Start structures and what the user has labelled: all elements it has to know.
    digests
        Takes the sha256 of the checkpoint.

    Raises
    ------
    StageError
        ModelNotFound, NotACheckpoint, BranchRequired, UnknownBranch, UnknownElement or DataInvalid.
    """
    where = "spec.teacher" if params.student is not None else "spec.model"
    if params.calculator is not None:
        return _prepare_calculator(context, params.calculator, starts, data, where)
    if params.model is None:
        raise ValueError("prepare needs a model or a calculator")
    return _prepare_checkpoint(context, params.model, starts, data, digests, where)


def _prepare_calculator(
    context: StageContext, settings: AseEngine, starts: list[Atoms], data: list[Atoms], where: str
) -> PreparedModel:
    model = CalculatorModel.from_settings(settings, f"{where}.calculator")
    _check_model_runs(model, [*starts, *data], where)
    check_data(model, data, context.spec.seed)
    file = context.workdir / stage_files.CALCULATOR
    file.write_text(json.dumps(settings.to_json()))
    return PreparedModel(file, None, {}, {"calculator": _call(settings)}, model.cutoff)


def _call(settings: AseEngine) -> str:
    """Return the calculator with its parameters: by its class alone nobody knows which potential has taught."""
    given = ", ".join(f"{name}={value!r}" for name, value in settings.parameters.items())
    return f"{settings.calculator}({given})"


def _prepare_checkpoint(
    context: StageContext,
    source: ModelSource,
    starts: list[Atoms],
    data: list[Atoms],
    digests: dict[str, str],
    where: str,
) -> PreparedModel:
    frames = [*starts, *data]
    family = FAMILIES[source.family]
    checkpoint = fetch_model(context, source, where)
    digests["model"] = sha256_of(checkpoint)
    file = context.workdir / family.model_file
    info = family.extract(checkpoint, source.branch, file, where)
    _check_elements(info, frames, where)
    model = family.open(file)
    _check_model_runs(model, frames, where)
    check_data(model, data, context.spec.seed)
    elements = {symbol for atoms in frames for symbol in atoms.get_chemical_symbols()}
    caution = _unobserved(sorted(elements - set(info.observed_elements)), where)
    return PreparedModel(file, family, info.model_section, {"source": _address(source)}, model.cutoff, caution)


def _unobserved(elements: list[str], where: str) -> Caution | None:
    if not elements:
        return None
    named = first_of(elements, 12)
    return Caution(
        reason=CautionReason.UNOBSERVED_ELEMENTS,
        message=f"{where} has parameters for {named}, but was never trained on it, by what its checkpoint says: its "
        "predictions are a guess until it has been trained on labels that hold it.",
    )


def _address(source: ModelSource) -> str:
    """Return where the model is from, as the spec names it."""
    branch = "" if source.branch is None else f", branch {source.branch}"
    return f"{source.uri or source.pretrained}{branch}"


def _check_elements(info: CheckpointInfo, frames: list[Atoms], where: str) -> None:
    for atoms in frames:
        for symbol in sorted(set(atoms.get_chemical_symbols())):
            if symbol not in info.type_map:
                known = first_of(info.type_map, 40)
                raise user_error(
                    Reason.UNKNOWN_ELEMENT,
                    f"{_source(atoms)} contains {symbol}, which the model ({where}) does not know. "
                    f"It knows: {known}. Choose another model or remove what contains it.",
                )


def _source(atoms: Atoms) -> str:
    """Return the words of the spec for where a frame is from: given data say it, start structures have a system."""
    return str(atoms.info.get(SOURCE) or atoms.info.get("trajectory", f"system {atoms.info['system']}"))


def _check_model_runs(model: AtomisticModel, frames: list[Atoms], where: str) -> None:
    """Predict a frame of each set of elements: what a model cannot do shows only here, and in seconds."""
    first = {tuple(sorted(set(atoms.get_chemical_symbols()))): atoms for atoms in reversed(frames)}
    for atoms in first.values():
        try:
            (prediction,) = model.predict([atoms])
        except Exception as error:  # models of third parties raise whatever they like
            if is_out_of_memory(error) or says_machine_fault(str(error)):
                raise
            raise _not_usable(f"{type(error).__name__}: {error}", atoms, where) from error
        if not prediction.is_finite:
            raise _not_usable("it gives values that are not numbers", atoms, where)


def _not_usable(why: str, atoms: Atoms, where: str) -> StageError:
    return user_error(
        Reason.NOT_A_CHECKPOINT,
        f"{where}: the model loads, but cannot predict {_source(atoms)} ({atoms.get_chemical_formula()}, "
        f"{len(atoms)} atoms): {why[:300]}. It must give energy, forces and stress for the elements of all systems.",
    )
