"""The families of models: how each is read, run and trained; and the model that a stage has left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms

from pfd_operator.contract.engine import AseEngine
from pfd_operator.contract.model_source import ModelFamily
from pfd_operator.contract.training import Training
from pfd_worker import stage_files
from pfd_worker.models import checkpoint, sevennet_checkpoint
from pfd_worker.models.base import AtomisticModel
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.models.checkpoint import CheckpointInfo
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.models.sevennet import SevennetModel
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import Manifest
from pfd_worker.training import deepmd_settings, sevennet_settings
from pfd_worker.training.deepmd_session import DeepmdSession
from pfd_worker.training.recipe import Purpose
from pfd_worker.training.session import TrainingSession
from pfd_worker.training.sevennet_session import SevennetSession


@dataclass(frozen=True)
class Family:
    """What a family can do; see the functions it is made of."""

    kind: ModelFamily
    extract: Callable[[Path, str | None, Path, str], CheckpointInfo]
    """Checkpoint, branch, output, field of the spec → the model alone, in a form that is safe to load."""
    open: Callable[[Path], AtomisticModel]
    shift_energy: Callable[[Path, Mapping[str, float], Path], None]
    base_input: Callable[[Training, Mapping[str, Any]], dict[str, Any]]
    """Settings, model section → the training program's input, without data."""
    check_input: Callable[[Mapping[str, Any]], None]
    fine_tune: Callable[[Path, dict[str, Any], Path, Sequence[Atoms], int], TrainingSession]
    """Folder, base input, start, frames, seed."""

    @property
    def model_file(self) -> str:
        """Name of the model that a stage leaves, and goes on from."""
        return f"model{self.kind.suffix}"

    @property
    def best_file(self) -> str:
        """Name of the best model so far."""
        return f"best{self.kind.suffix}"


DEEPMD = Family(
    kind=ModelFamily.DEEPMD,
    extract=checkpoint.extract_branch,
    open=DeepmdModel,
    shift_energy=checkpoint.shift_energy_bias,
    base_input=deepmd_settings.base_input,
    check_input=deepmd_settings.check_input,
    fine_tune=lambda folder, settings, start, frames, seed: DeepmdSession(
        folder, settings, Purpose.FINE_TUNING, start, frames, seed
    ),
)
SEVENNET = Family(
    kind=ModelFamily.SEVENNET,
    extract=sevennet_checkpoint.extract_model,
    open=SevennetModel,
    shift_energy=sevennet_checkpoint.shift_energy,
    base_input=sevennet_settings.base_input,
    check_input=sevennet_settings.check_input,
    fine_tune=SevennetSession,
)
FAMILIES = {family.kind: family for family in (DEEPMD, SEVENNET)}


def family_of(manifest: Manifest) -> Family:
    """Return the family of the model that a prepare or train stage has left.

    Raises
    ------
    ValueError
        If it has left none.
    """
    for family in FAMILIES.values():
        if family.model_file in manifest.files:
            return family
    raise ValueError(f"stage {manifest.digest[:12]} has left no model that can be trained")


def open_model(context: StageContext, manifest: Manifest) -> AtomisticModel:
    """Return the model, or calculator, that a prepare or train stage has left."""
    if stage_files.CALCULATOR in manifest.files:
        settings = AseEngine.model_validate(json.loads(context.fetch(manifest, stage_files.CALCULATOR).read_text()))
        return CalculatorModel.from_settings(settings, "spec.teacher.calculator")
    family = family_of(manifest)
    return family.open(context.fetch(manifest, family.model_file))
