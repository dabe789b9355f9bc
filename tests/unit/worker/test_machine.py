"""The machine in words, with torch as it is with and without a GPU."""

import sys

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import StageKind
from pfd_worker.errors import StageError
from pfd_worker.machine import check_gpu, machine
from tests.unit.worker.torch_stand_in import torch_with

H100 = "NVIDIA H100 80GB HBM3"
NO_DRIVER = (
    "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from "
    "http://www.nvidia.com/Download/index.aspx"
)
TOO_OLD = "The NVIDIA driver on your system is too old (found version 11080). Please update your GPU driver"
LOST = "Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized"


@pytest.mark.parametrize(
    ("torch", "begin"),
    [
        (torch_with(H100), "NVIDIA H100 80GB HBM3, with sparc, 3 threads"),
        (torch_with(None), "sparc, 3 threads"),
        (None, "sparc, 3 threads"),
    ],
    ids=["gpu", "processor", "no torch"],
)
def test_the_gpu_is_named_before_the_processor(monkeypatch, torch, begin):
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr("platform.machine", lambda: "sparc")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine() == begin


def test_a_gpu_that_models_can_use_is_no_news(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch_with(H100))
    check_gpu(StageKind.EXPLORE, 1)


@pytest.mark.parametrize(
    ("torch", "code", "told"),
    [
        (
            torch_with(None, "2.6.0+debian", built=False),
            ExitCode.USER_ERROR,
            ["torch 2.6.0+debian is built for processors only", "worker-gpu", "take the GPU out of spec.pods.train"],
        ),
        (
            torch_with(None, fault=NO_DRIVER),
            ExitCode.USER_ERROR,
            ["sees no driver", "torch 2.11.0+cu130", "spec.pods.train.runtimeClassName"],
        ),
        (torch_with(None, fault=TOO_OLD), ExitCode.TRANSIENT, ["on this node", "too old (found version 11080)"]),
        (torch_with(None, fault=LOST), ExitCode.TRANSIENT, ["on this node", "system not yet initialized"]),
        (torch_with(None, fault="No CUDA GPUs are available"), ExitCode.TRANSIENT, ["No CUDA GPUs are available"]),
        (torch_with(None), ExitCode.TRANSIENT, ["it finds none"]),
    ],
    ids=["processors only", "no driver", "old driver", "driver at fault", "lost gpu", "without a word"],
)
def test_a_gpu_that_models_cannot_use_is_told_with_what_to_do(monkeypatch, torch, code, told):
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(StageError) as caught:
        check_gpu(StageKind.TRAIN, 2)
    assert (caught.value.exit_code, caught.value.reason) == (code, Reason.GPU_UNUSABLE)
    for words in ("spec.pods.train asks for 2 GPUs", *told):
        assert words in caught.value.message


@pytest.mark.image
def test_the_worker_image_for_processors_is_told_as_one():
    with pytest.raises(StageError, match="is built for processors only") as caught:
        check_gpu(StageKind.TRAIN, 1)
    assert caught.value.exit_code is ExitCode.USER_ERROR
