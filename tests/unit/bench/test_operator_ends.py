"""make bench-operator leaves no control plane behind, however it ends."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.operator import __main__ as bench


class Plane:
    """A control plane that notes whether it is up."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.is_down = False
        self.fault: Exception | None = None

    def up(self) -> None:
        if self.fault is not None:
            raise self.fault

    def restart_controllers(self) -> None:
        pass

    def down(self) -> None:
        self.is_down = True


@pytest.fixture
def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plane]:
    plane = Plane(tmp_path)
    monkeypatch.setattr(bench, "BenchControlPlane", lambda _port: plane)
    monkeypatch.setattr(bench, "table", lambda *_: "")
    arguments = ["bench", "--keep-logs", "--output", str(tmp_path / "out.json")]
    monkeypatch.setattr(sys, "argv", arguments)
    yield plane
    assert plane.is_down


def test_it_says_why_the_control_plane_did_not_come_up(plane: Plane) -> None:
    plane.fault = RuntimeError("port 21443 is taken")
    with pytest.raises(RuntimeError, match="21443"):
        bench.main()


def test_the_log_is_kept_on_another_file_system(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: Any) -> Any:
        async def measured() -> dict[str, object]:
            (plane.state / "operator.log").write_text("a line")
            return {}

        return measured()

    def elsewhere(*_: Any, **__: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(bench, "_measure", measure)
    monkeypatch.setattr("os.replace", elsewhere)
    monkeypatch.setattr("os.rename", elsewhere)
    bench.main()
    assert (plane.state / "out.log").read_text() == "a line"
