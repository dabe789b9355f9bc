"""`kubectl pfd status -w`: a page for each change in a file, one that is kept current on a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from pfd_operator.cli.status import CLEAR_SCREEN, show_status
from pfd_operator.kube.api import ApiError, KubeApi

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)
RUNNING = {"phase": "Running", "startedAt": STARTED.isoformat(), "labels": {"paid": 3, "budget": 60}}
LABELLED = {**RUNNING, "labels": {"paid": 4, "budget": 60}}
CONVERGED = {**LABELLED, "phase": "Converged", "finishedAt": (STARTED + timedelta(seconds=60)).isoformat()}


class Server:
    """Shows one status after another, or fails; a second passes before each."""

    def __init__(self, statuses: Sequence[Mapping[str, Any] | ApiError]) -> None:
        self._statuses = list(statuses)
        self._now = STARTED

    @property
    def left(self) -> int:
        return len(self._statuses)

    def now(self) -> datetime:
        return self._now

    async def request(self, _: str, path: str) -> dict[str, Any]:
        self._now += timedelta(seconds=1)
        metadata = {"namespace": "lab", "name": "silicon"}
        status = self._statuses.pop(0)
        if isinstance(status, ApiError):
            raise status
        return {"kind": "FineTuneJob", "metadata": metadata, "status": status}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def watch(out: io.StringIO, *statuses: Mapping[str, Any] | ApiError) -> str:
    server = Server(statuses)
    await show_status(cast(KubeApi, server), "lab", "silicon", out, watch=True, poll_seconds=0)
    assert server.left == 0, "it ended before the job did"
    return out.getvalue()


@pytest.mark.parametrize(
    ("statuses", "pages"),
    [
        ([CONVERGED], 1),
        ([RUNNING, CONVERGED], 2),
        ([RUNNING, RUNNING, RUNNING, LABELLED, LABELLED, CONVERGED], 3),
        # what a page does not show is no change of it
        ([RUNNING, {**RUNNING, "observedGeneration": 2}, CONVERGED], 2),
    ],
)
async def test_a_file_gets_a_page_for_each_change(statuses: list[Mapping[str, Any]], pages: int) -> None:
    written = await watch(io.StringIO(), *statuses)
    assert written.count("FineTuneJob lab/silicon") == pages
    assert CLEAR_SCREEN not in written
    assert written.endswith("time: 1 min 00 s\n")


async def test_a_terminal_shows_one_page_with_the_time_it_is() -> None:
    pages = (await watch(Terminal(), RUNNING, RUNNING, CONVERGED)).split(CLEAR_SCREEN)
    assert [page.splitlines()[-1] for page in pages[1:]] == ["time: 1 s", "time: 2 s", "time: 1 min 00 s"]


@pytest.mark.parametrize("status", [0, 429, 503])
async def test_a_poll_that_fails_is_said_and_followed_by_another(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    written = await watch(io.StringIO(), RUNNING, ApiError(status, "Away", "no answer"), CONVERGED)
    assert written.count("FineTuneJob lab/silicon") == 2
    assert capsys.readouterr().err == "kubectl pfd: no answer; asking again\n"


@pytest.mark.parametrize("answers", [[ApiError(503, "Away", "no answer")], [RUNNING, ApiError(403, "Forbidden", "no")]])
async def test_a_first_poll_that_fails_and_a_right_that_is_lost_end_it(
    answers: list[Mapping[str, Any] | ApiError],
) -> None:
    with pytest.raises(ApiError):
        await watch(io.StringIO(), *answers)


async def test_without_watching_it_ends_at_once() -> None:
    server = Server([RUNNING, RUNNING])
    await show_status(cast(KubeApi, server), "lab", "silicon", io.StringIO(), poll_seconds=0)
    assert server.left == 1
