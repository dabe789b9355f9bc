"""What is said of a model whose program the image does not hold; no torch is needed."""

import sys

import pytest

from pfd_operator.contract.model_source import ModelSource
from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.pretrained import fetch_model
from pfd_worker.stage_context import StageContext
from tests.unit.worker.stages.loop import TRAINING, Loop


def refused(folder, **source) -> str:
    loop = Loop(folder)
    params = {"stage": "prepare", "model": source, "training": TRAINING}
    context = StageContext(loop.spec(params, 0, {}), loop.store, folder)
    with pytest.raises(StageError) as caught:
        fetch_model(context, ModelSource(**source), "spec.model")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.MODEL_NOT_FOUND)
    return str(caught.value)


@pytest.fixture(autouse=True)
def image_without_sevennet(monkeypatch):
    monkeypatch.setitem(sys.modules, "sevenn", None)


def test_a_frozen_model_of_deepmd_is_told_from_one_of_sevennet(tmp_path):
    said = refused(tmp_path, uri="s3://pfd/silicon-light/compressed.pth")
    assert "spec.model is SevenNet's" in said and "images.calculators of the chart" in said
    assert (
        "of deepmd-kit, give a checkpoint ending in .pt (of a distilled student: model.pt in the same folder)" in said
    )


def test_a_name_of_sevennet_is_no_file_of_deepmd(tmp_path):
    said = refused(tmp_path, pretrained="7net-0")
    assert said.endswith("(target sevennet of images/worker).")
