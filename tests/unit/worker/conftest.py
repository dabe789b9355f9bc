"""Settings that must hold before numpy is imported, and the pre-trained model of the tests with torch."""

import os
from pathlib import Path

import pytest

# Matrices of MD are 3 by 3: on a busy machine the threads of OpenBLAS made NPT nine times slower
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_sevennet(tmp_path_factory) -> Path:
    """A SevenNet checkpoint for Al and Cu, made once."""
    from tests.unit.worker.tiny_sevennet import make_tiny

    return make_tiny(tmp_path_factory.mktemp("sevennet"))


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory) -> Path:
    """A checkpoint with branches Cold and Hot, made once."""
    from tests.unit.worker.tiny_pretrained import make_pretrained

    return make_pretrained(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="session")
def fine_tuned(tmp_path_factory, pretrained):
    """Two iterations of a job, run once; what a test adds to its store, other tests must not mind."""
    from tests.unit.worker.stages.loop import Loop, labels_here, prepare_params, two_iterations

    folder = tmp_path_factory.mktemp("fine-tuned")
    with labels_here():
        return two_iterations(Loop(folder), prepare_params(folder, pretrained))
