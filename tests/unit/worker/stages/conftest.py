from contextlib import nullcontext

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
