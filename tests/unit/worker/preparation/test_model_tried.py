"""A model is tried before anything costs: what it cannot do is told by frame, what the machine cannot as what it is."""

from typing import Any

import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.preparation.model import prepare_model
from pfd_worker.run import failure_of
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.loop import TRAINING, Loop

CALCULATOR = f"{__name__}:Failing"


class Failing(EMT):
    """Fails at silver."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words

    def calculate(self, atoms: Atoms, *asked: Any) -> None:
        if "Ag" in atoms.symbols:
            raise RuntimeError(self.words)
        super().calculate(atoms, *asked)


def tried(folder, words: str) -> BaseException:
    starts, data = bulk("Cu", cubic=True), bulk("Ag", cubic=True)
    starts.info = {"system": "copper"}
    data.info = {"system": "data", "trajectory": "spec.data[0]"}
    loop = Loop(folder)
    teacher = {"calculator": CALCULATOR, "parameters": {"words": words}}
    params = {"stage": "prepare", "calculator": teacher, "student": {"preset": "small"}, "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, folder)
    with pytest.raises(Exception) as caught:
        prepare_model(context, context.spec.params, [starts], [data], {})
    return caught.value


def test_what_the_model_cannot_predict_is_named(tmp_path):
    error = tried(tmp_path, "mat1 and mat2 shapes cannot be multiplied")
    assert isinstance(error, StageError)
    assert (error.exit_code, error.reason) == (ExitCode.USER_ERROR, Reason.NOT_A_CHECKPOINT)
    assert "cannot predict spec.data[0] (Ag4, 4 atoms): RuntimeError: mat1" in str(error)


@pytest.mark.parametrize(
    ("words", "reason", "exit_code"),
    [
        ("CUDA out of memory. Tried to allocate 9 GiB", Reason.GPU_OUT_OF_MEMORY, ExitCode.USER_ERROR),
        ("CUDA error: an illegal memory access was encountered", Reason.INTERNAL_ERROR, ExitCode.TRANSIENT),
    ],
)
def test_memory_and_faults_of_the_gpu_are_not_the_models_fault(tmp_path, words, reason, exit_code):
    found, result = failure_of(tried(tmp_path, words))
    assert (result.reason, found) == (reason, exit_code)
    assert words in result.message
