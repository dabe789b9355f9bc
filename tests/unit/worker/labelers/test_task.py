"""Entries of the list that select writes: what is written is read."""

from __future__ import annotations

import pytest

from pfd_worker.frames import Sampling
from pfd_worker.labelers.task import AimdSettings, Task

SINGLE = Task(3, "training", Sampling.FARTHEST, "si/300K", "t-1", "si", novelty=0.25, measured_kelvin=281.5, step=40)
AIMD = Task(4, "training", Sampling.AIMD, "si/300K/aimd", "aimd-si-000", "si", aimd=AimdSettings(5, 300.0, 2.0, 7))


@pytest.mark.parametrize(("task", "labels"), [(SINGLE, 1), (AIMD, 5)])
def test_what_is_written_is_read(task: Task, labels: int) -> None:
    assert Task.from_json(task.to_json()) == task
    assert task.labels == labels


def test_a_label_keeps_where_its_frame_is_from_and_how_new_it_was() -> None:
    about = {"purpose": "training", "sampling": "farthest", "stratum": "si/300K", "trajectory": "t-1", "system": "si"}
    assert SINGLE.info == about | {"novelty": 0.25, "measured_kelvin": 281.5, "step": 40}
    assert not {"novelty", "measured_kelvin", "step"} & AIMD.info.keys()
