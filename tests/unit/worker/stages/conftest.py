import pytest

from tests.unit.worker.stages.loop import labels_here


@pytest.fixture(autouse=True, scope="module")
def _no_child():
    with labels_here():
        yield
