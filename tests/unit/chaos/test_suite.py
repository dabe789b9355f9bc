"""The suite hides nothing that goes wrong in itself, and notes what the operator said when it ended."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from tests.chaos.operator_process import OperatorProcess
from tests.chaos.resources import PROFILES, Group, group
from tests.chaos.suite import Suite


class Followed(Suite):
    """Groups that end as they are told to."""

    def __init__(self, *ends: str, settle_seconds: float = 30.0) -> None:
        nobody = cast(Any, None)
        super().__init__(nobody, nobody, nobody, nobody, nobody, nobody, "seed", settle_seconds)
        self._ends = iter(ends)

    async def _create(self, group: Group) -> None:
        self.seen.resources += 1

    async def _to_its_end(self, group: Group, seconds: float | None) -> None:
        end = next(self._ends)
        if end == "never":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.seen.stuck.append("never")
                raise
        await asyncio.sleep(0)
        if end == "error":
            raise RuntimeError("the suite's own mistake")


async def keep_busy(suite: Suite, count: int, at_a_time: int) -> None:
    await suite.keep_busy(at_a_time, iter([group(PROFILES[0], number) for number in range(count)]))


@pytest.mark.parametrize("at_a_time", [1, 10], ids=["one of many", "one of the last"])
async def test_an_error_while_following_any_group_ends_the_run(at_a_time: int) -> None:
    with pytest.raises(RuntimeError, match="own mistake"):
        await keep_busy(Followed("good", "error", "good"), 3, at_a_time)


async def test_what_does_not_end_in_time_is_stuck() -> None:
    suite = Followed("good", "never", settle_seconds=0.05)
    await keep_busy(suite, 2, 10)
    assert suite.seen.stuck == ["never"]


async def test_what_an_operator_said_that_ended_by_itself_is_kept(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tests.chaos.operator_process.RESTART_SECONDS", 0.01)
    program = tmp_path / "program"
    program.write_text("import sys; print('words'); sys.exit(3)")
    monkeypatch.setattr(sys, "executable", _script(tmp_path, program))
    operator = OperatorProcess(tmp_path / "kubeconfig", tmp_path / "operator.log")
    operator.start()
    keeping = asyncio.create_task(operator.keep_alive())
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if len(operator.exits) >= 2:
            break
    keeping.cancel()
    operator.stop()
    assert [(each.code, each.log) for each in operator.exits[:2]] == [(3, "words\n")] * 2


def _script(folder: Path, program: Path) -> str:
    """Return a command that runs the program whatever its arguments are."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} {program}\n")
    path.chmod(0o755)
    return str(path)
