import itertools
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from pfd_worker.labelers.base import LabelFailure
from tests.unit.worker.stages.explored_copper import explored_copper
from tests.unit.worker.stages.label_tasks import Fails
from tests.unit.worker.stages.loop import labels_here


@pytest.fixture(autouse=True, scope="module")
def _no_child():
    with labels_here():
        yield


@pytest.fixture
def fails(monkeypatch):
    def made(reason: LabelFailure) -> Fails:
        labeler = Fails(reason)
        monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda *given: nullcontext(labeler))
        return labeler

    return made


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    return explored_copper(tmp_path_factory.mktemp("explored"))


@pytest.fixture
def every_check_told(monkeypatch):
    """A second goes by at each look at the clock, so that explore tells of each of its checks."""
    seconds = itertools.count()
    monkeypatch.setattr("pfd_worker.stages.explore.time", SimpleNamespace(monotonic=lambda: next(seconds)))


@pytest.fixture
def image(tmp_path, monkeypatch) -> Path:
    """What the engine's image holds: a pseudopotential and the program."""
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Cu.psp8").write_text("a pseudopotential")
    (folder / "abinit").write_text("#!/bin/sh\n")
    (folder / "abinit").chmod(0o755)
    monkeypatch.setenv("ABI_PSPDIR", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder
