"""Rounds are asked for numbers: what they label is labelled here, and no page is drawn of it."""

import pytest

from tests.unit.worker.stages.loop import labels_here


@pytest.fixture(autouse=True, scope="module")
def _no_child():
    with labels_here():
        yield


@pytest.fixture(autouse=True, scope="module")
def _no_page():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pfd_worker.report.writing.render_page", lambda data: "")
        yield
