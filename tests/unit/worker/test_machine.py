"""The machine in words, with torch as it is with and without a GPU."""

import sys
from types import SimpleNamespace

import pytest

from pfd_worker.machine import machine


def torch_with(gpu):
    cuda = SimpleNamespace(is_available=lambda: gpu is not None, get_device_name=lambda: gpu)
    return SimpleNamespace(cuda=cuda)


@pytest.mark.parametrize(
    ("torch", "begin"),
    [
        (torch_with("NVIDIA H100 80GB HBM3"), "NVIDIA H100 80GB HBM3, with sparc, 3 threads"),
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
