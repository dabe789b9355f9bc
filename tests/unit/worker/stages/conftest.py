"""Stages label in this process: a child for each label stage would take longer than all else."""

from contextlib import nullcontext

import pytest

from pfd_worker.labelers.registry import in_process_labeler


@pytest.fixture(autouse=True)
def _no_child(monkeypatch):
    monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda engine, seconds: _here(engine))


def _here(engine):
    return nullcontext(in_process_labeler(engine))
