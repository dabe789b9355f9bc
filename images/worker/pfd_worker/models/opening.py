"""The model of a finished stage, of whatever family."""

from __future__ import annotations

import json

from pfd_operator.contract.settings import AseEngine
from pfd_worker.models.base import AtomisticModel
from pfd_worker.models.calculator import CalculatorModel, make_calculator
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.stage_context import Manifest, StageContext

MODEL_FILE, CALCULATOR_FILE = "model.pt", "calculator.json"


def open_model(context: StageContext, manifest: Manifest) -> AtomisticModel:
    """Return the model that a prepare or train stage has left."""
    if CALCULATOR_FILE in manifest.files:
        settings = AseEngine.model_validate(json.loads(context.fetch(manifest, CALCULATOR_FILE).read_text()))
        return CalculatorModel(make_calculator(settings, "spec.teacher.calculator"))
    return DeepmdModel(context.fetch(manifest, MODEL_FILE))
