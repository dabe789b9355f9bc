"""A stage as its pod starts it: python -m pfd_worker, its exit code, its termination message."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.worker.stages.loop import LABEL, Loop
from tests.unit.worker.stages.test_label import select

from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageSpec
from pfd_worker.errors import StageError
from pfd_worker.run import failure_of

ROOT = Path(__file__).parents[3]


def start(folder: Path, spec: StageSpec) -> tuple[int, StageResult | None, list[dict[str, object]]]:
    """Run the stage; return exit code, termination message and log lines."""
    (folder / "stage.json").write_text(json.dumps(spec.to_json()))
    message = folder / "termination-log"
    message.unlink(missing_ok=True)
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'images/worker'}",
        "PFD_TERMINATION_LOG": str(message),
        "JOB_COMPLETION_INDEX": "0",
    }
    command = [sys.executable, "-m", "pfd_worker", "--spec", folder / "stage.json", "--workdir", folder / "work"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    result = StageResult.from_termination_message(message.read_text())
    assert ended.stdout.strip() == message.read_text()
    return ended.returncode, result, [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


def test_a_stage_ends_well_once_and_is_found_again(loop):
    spec = loop.spec(LABEL, 1, {"select": select(loop)})
    code, result, lines = start(loop.folder, spec)
    assert code == ExitCode.OK
    assert result is not None
    assert (result.ok, result.reused, result.counts["labels"]) == (True, False, 7)
    assert {"job", "iteration", "stage", "index", "message"} <= set(lines[0])
    code, result, _ = start(loop.folder, spec)
    assert code == ExitCode.OK
    assert result is not None
    assert result.reused


def test_a_users_error_has_its_code_and_reason(loop):
    engine = {"ase": {"calculator": "no.such:Calculator"}}
    code, result, _ = start(loop.folder, loop.spec(LABEL | {"engine": engine}, 1, {"select": select(loop)}))
    assert code == ExitCode.USER_ERROR
    assert result is not None
    assert (result.ok, result.reason) == (False, Reason.DATA_INVALID)
    assert "no.such:Calculator" in result.message


def test_a_lost_input_is_transient(loop):
    selected = select(loop)
    loop.store.delete(f"stages/{selected.digest}/manifest.json")
    code, result, _ = start(loop.folder, loop.spec(LABEL, 1, {"select": selected}))
    assert code == ExitCode.TRANSIENT
    assert result is not None
    assert result.reason is Reason.STORE_UNAVAILABLE


def test_a_stage_that_could_not_commit_has_no_result(loop, monkeypatch):
    """The store says that a manifest is there, and has none: nobody would find what this result speaks of."""
    selected = select(loop)
    put_if_absent = loop.store.put_if_absent

    def refused(key: str, content: bytes) -> bool:
        return not key.endswith("manifest.json") and put_if_absent(key, content)

    monkeypatch.setattr(loop.store, "put_if_absent", refused)
    with pytest.raises(StageError, match=r"stages/.*manifest\.json") as caught:
        loop.run(LABEL, 1, {"select": selected}, index=0)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (MemoryError("12 GiB"), ExitCode.USER_ERROR, Reason.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate"), ExitCode.USER_ERROR, Reason.OUT_OF_MEMORY),
        (KeyError("forces"), ExitCode.TRANSIENT, Reason.INTERNAL_ERROR),
        (StageError(ExitCode.USER_ERROR, Reason.DATA_INVALID, "no"), ExitCode.USER_ERROR, Reason.DATA_INVALID),
    ],
)
def test_whatever_ends_a_stage_is_put_into_the_contracts_words(error, code, reason):
    found, result = failure_of(error)
    assert (found, result.reason, result.ok) == (code, reason, False)
    assert result.message
