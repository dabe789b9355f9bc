"""Progress, as stages report it."""

from __future__ import annotations

import pytest

from pfd_operator.contract.result import Progress
from pfd_operator.kube.resources import Key
from pfd_operator.runtime.progress import ProgressBoard

SILICON = Key("FineTuneJob", "lab", "silicon")


def test_progress_is_shown_at_intervals() -> None:
    board = ProgressBoard(interval_seconds=60)
    first, second = Progress(percent=1), Progress(percent=2)
    assert board.report(SILICON, "job", first) == 0
    assert board.shown(SILICON, "job") == first
    assert board.due_in(SILICON, "job") is None
    assert 50 < board.report(SILICON, "job", second) <= 60
    assert board.shown(SILICON, "job") == first
    due = board.due_in(SILICON, "job")
    assert due is not None and 50 < due <= 60
    assert board.due_in(SILICON, "next") is None


def test_progress_of_the_latest_report() -> None:
    board = ProgressBoard(interval_seconds=0)
    for percent in (1, 2, 3):
        board.report(SILICON, "job", Progress(percent=percent))
    shown = board.shown(SILICON, "job")
    assert shown is not None and shown.percent == 3


@pytest.mark.parametrize("active", ["next", None])
def test_progress_of_a_job_is_forgotten_with_the_next_one(active: str | None) -> None:
    board = ProgressBoard()
    board.report(SILICON, "job", Progress(percent=90))
    assert board.shown(SILICON, active) is None
    assert len(board) == 0


def test_a_report_of_the_next_job_is_shown_at_once() -> None:
    board = ProgressBoard(interval_seconds=60)
    for job in ("job", "next"):
        assert board.report(SILICON, job, Progress(percent=1)) == 0
        assert board.shown(SILICON, job) is not None
    assert len(board) == 1
