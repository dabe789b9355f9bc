"""A stage as its pod starts it: python -m pfd_worker, its exit code, its termination message."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import GPUS_VARIABLE, StageSpec
from pfd_worker import stage_files
from pfd_worker.__main__ import main
from pfd_worker.errors import StageError, transient
from pfd_worker.run import failure_of, run_stage
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.rounds.prepared import prepared
from tests.unit.worker.stages.label_tasks import select
from tests.unit.worker.stages.loop import EMT_ENGINE, LABEL, TRAIN, Loop, explore_params, labels_here
from tests.unit.worker.torch_stand_in import torch_with

ROOT = Path(__file__).parents[3]
Ended = tuple[int, str, str]
"""Exit code, stdout, stderr."""


def in_a_process(arguments: list[str], environment: dict[str, str]) -> Ended:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'images/worker'}"} | environment
    command = [sys.executable, "-m", "pfd_worker", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def in_this_process(arguments: list[str], environment: dict[str, str]) -> Ended:
    """The same without the seconds that importing the worker takes."""
    root = logging.getLogger()
    handlers, level, on_sigterm = root.handlers[:], root.level, signal.getsignal(signal.SIGTERM)
    out, err = io.StringIO(), io.StringIO()
    try:
        with labels_here(), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return main(arguments), out.getvalue(), err.getvalue()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        signal.signal(signal.SIGTERM, on_sigterm)


def start(
    folder: Path, spec: StageSpec, run: Callable[[list[str], dict[str, str]], Ended] = in_this_process
) -> tuple[int, StageResult | None, list[dict[str, object]]]:
    """Run the stage; return exit code, termination message and log lines."""
    (folder / "stage.json").write_text(json.dumps(spec.to_json()))
    message = folder / "termination-log"
    message.unlink(missing_ok=True)
    environment = {"PFD_TERMINATION_LOG": str(message), "JOB_COMPLETION_INDEX": "0"}
    code, out, err = run(["--spec", f"{folder / 'stage.json'}", "--workdir", f"{folder / 'work'}"], environment)
    result = StageResult.from_termination_message(message.read_text())
    assert out.strip() == message.read_text()
    return code, result, [json.loads(line) for line in err.splitlines() if line.startswith("{")]


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


def test_a_stage_ends_well_once_and_is_found_again(loop):
    spec = loop.spec(LABEL, 1, {"select": select(loop)})
    code, result, lines = start(loop.folder, spec, in_a_process)
    assert code == ExitCode.OK
    assert result is not None
    assert (result.ok, result.reused, result.outcome.failed) == (True, False, 0)
    assert result.labels is not None and result.labels.paid > 0
    assert {"job", "iteration", "stage", "index", "message"} <= set(lines[0])
    code, result, _ = start(loop.folder, spec)
    assert code == ExitCode.OK
    assert result is not None
    assert result.reused


def test_sigterm_ends_a_stage_with_the_code_that_is_nobodys_fault(loop, monkeypatch):
    class Killing:
        """What is told first brings the end."""

        def __init__(self, url: str | None, token: str) -> None:
            pass

        def __call__(self, percent: float, message: str = "") -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("pfd_worker.__main__.ProgressReporter", Killing)
    prepare = prepared(loop)
    spec = loop.spec(explore_params("training"), 1, {"prepare": prepare, "model": prepare})
    code, result, _ = start(loop.folder, spec)
    assert code == ExitCode.PREEMPTED == 85
    assert result is not None
    assert (result.ok, result.reason) == (False, Reason.PREEMPTED)
    assert "stopped; MD goes on from the" in result.message


def test_a_store_that_reads_and_cannot_write_is_met_before_anything_is_computed(loop, monkeypatch):
    def full(self, key, content):
        raise transient(Reason.STORE_UNAVAILABLE, f"XMinioStorageFull for {self.uri(key)}")

    def computed(context):
        pytest.fail("nothing is to be computed that cannot be stored")

    spec = loop.spec(LABEL, 1, {"select": select(loop)})
    monkeypatch.setattr("pfd_worker.store.objects.DirectoryStore.put", full)
    monkeypatch.setattr("pfd_worker.stages.label.run", computed)
    code, result, _ = start(loop.folder, spec)
    assert result is not None
    assert (code, result.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE)
    assert "XMinioStorageFull" in result.message and "/probes/" in result.message


def test_a_users_error_has_its_code_and_reason(loop):
    engine = {"ase": {"calculator": "no.such:Calculator"}}
    code, result, _ = start(loop.folder, loop.spec(LABEL | {"engine": engine}, 1, {"select": select(loop)}))
    assert code == ExitCode.USER_ERROR
    assert result is not None
    assert (result.ok, result.reason) == (False, Reason.DATA_INVALID)
    assert "no.such:Calculator" in result.message


def test_a_lost_input_says_how_it_is_computed_again(loop):
    selected = select(loop)
    loop.store.delete(f"stages/{selected.digest}/manifest.json")
    code, result, _ = start(loop.folder, loop.spec(LABEL, 1, {"select": selected}))
    assert code == ExitCode.USER_ERROR
    assert result is not None
    assert result.reason is Reason.ARTIFACT_LOST
    assert "the manifest of the select stage" in result.message and "spec.restart" in result.message


def test_a_stage_whose_files_were_deleted_is_computed_again_and_pays_nothing(loop):
    inputs = {"select": select(loop)}
    first = loop.run(LABEL, 1, inputs, index=0)
    counts = Ledger(loop.store, loop.job.uid).count()
    assert counts.paid
    manifest = loop.manifest(first, 0)
    for file in manifest.files.values():
        loop.store.delete(file.key)
    assert loop.run(LABEL, 1, inputs, index=0).reused
    reader = StageContext(loop.spec(LABEL, 2, {}), loop.store, loop.folder)
    with pytest.raises(StageError) as caught:
        reader.fetch(manifest, next(iter(manifest.files)))
    assert caught.value.reason is Reason.ARTIFACT_LOST
    again = loop.run(LABEL, 1, inputs, index=0)
    assert not again.reused and again.outcome == first.outcome
    assert Ledger(loop.store, loop.job.uid).count() == counts
    assert all(loop.store.get(file.key) is not None for file in loop.manifest(again, 0).files.values())


def test_a_stage_that_could_not_commit_has_no_result(loop, monkeypatch):
    """The store says that a manifest is there, and has none: nobody would find what this result speaks of."""
    selected = select(loop)
    put_if_absent = loop.store.put_if_absent

    def refused(key: str, content: bytes) -> bool:
        return not key.endswith("manifest.json") and put_if_absent(key, content)

    monkeypatch.setattr(loop.store, "put_if_absent", refused)
    with pytest.raises(StageError, match=r"stages/.*manifest\.json") as caught:
        loop.run(LABEL, 1, {"select": selected}, index=0)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNSUITABLE)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (MemoryError("12 GiB"), ExitCode.USER_ERROR, Reason.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate"), ExitCode.USER_ERROR, Reason.GPU_OUT_OF_MEMORY),
        (KeyError("forces"), ExitCode.TRANSIENT, Reason.INTERNAL_ERROR),
        (StageError(ExitCode.USER_ERROR, Reason.DATA_INVALID, "no"), ExitCode.USER_ERROR, Reason.DATA_INVALID),
    ],
)
def test_whatever_ends_a_stage_is_put_into_the_contracts_words(error, code, reason):
    found, result = failure_of(error)
    assert (found, result.reason, result.ok) == (code, reason, False)
    assert result.message


KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCY",
    "AWS_SESSION_TOKEN": "FwoGZXIvYXdzTOKEN",
}


@pytest.mark.parametrize("end", ["\n", "", "\u00e9"])
@pytest.mark.parametrize("before_the_stage_is_known", [True, False])
def test_no_key_gets_into_the_termination_message_or_the_log(loop, monkeypatch, end, before_the_stage_is_known):
    keys = {name: value + end for name, value in KEYS.items()}

    def refused(*_: object) -> None:
        logging.getLogger("any").warning("asked with %s", list(keys.values()))
        try:
            raise ValueError(f"Invalid header value {keys['AWS_SESSION_TOKEN'].encode()}")
        except ValueError as error:
            raise RuntimeError(f"no answer: {' '.join(keys.values())}") from error

    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    place = "pfd_worker.__main__.open_store" if before_the_stage_is_known else "pfd_worker.stages.label.run"
    spec = loop.spec(LABEL, 1, {"select": select(loop)})
    monkeypatch.setattr(place, refused)
    code, result, lines = start(loop.folder, spec)
    assert result is not None
    assert (code, result.reason) == (ExitCode.TRANSIENT, Reason.INTERNAL_ERROR)
    assert "RuntimeError: no answer: [AWS_ACCESS_KEY_ID]" in result.message
    assert "[AWS_SESSION_TOKEN]" in str(lines[-1]["traceback"])
    said = result.message + json.dumps(lines)
    assert not [value for value in KEYS.values() if value in said]
    assert not before_the_stage_is_known or "job" not in lines[-1]


PREPARE = {"stage": "prepare", "training": {"steps": 1}}
TEACHER = LABEL | {"engine": None}
SELECT = {"stage": "select", "purpose": "training", "frames": 1, "representativeFraction": 0}


@pytest.mark.parametrize(
    ("params", "teacher", "refused"),
    [
        (explore_params("training"), "model", True),
        (explore_params("training"), "calculator", False),
        (TEACHER, "model", True),
        (TEACHER, "calculator", False),
        (LABEL | {"engine": {"xtb": {}}}, "model", True),
        (LABEL, "model", False),
        (TRAIN, "model", True),
        (TRAIN, "calculator", True),
        (SELECT, "calculator", True),
        (PREPARE | {"model": {"uri": "s3://pfd/model.pt"}}, "model", True),
        (PREPARE | {"calculator": EMT_ENGINE["ase"]}, "calculator", False),
    ],
)
def test_a_gpu_that_the_stage_would_hold_for_nothing_ends_it(loop, monkeypatch, params, teacher, refused):
    def computed(context: StageContext) -> StageOutput:
        begun.append(context.spec.stage)
        return StageOutput(summary={"labels": []})

    begun: list[str] = []
    left = {"calculator": stage_files.CALCULATOR, "model": "model.pt"}[teacher]
    inputs = {"prepare": loop.committed(PREPARE, 0, {left: b"none"})}
    context = StageContext(loop.spec(params, 1, inputs), loop.store, loop.folder)
    monkeypatch.setitem(sys.modules, "torch", torch_with(None, built=False))
    monkeypatch.setenv(GPUS_VARIABLE, "1")
    if refused:
        with pytest.raises(StageError, match=rf"spec\.pods\.{params['stage']} asks for 1 GPU, which") as caught:
            run_stage(context, computed)
        assert caught.value.reason is Reason.GPU_UNUSABLE and not begun
        monkeypatch.delenv(GPUS_VARIABLE)
    assert run_stage(context, computed).ok and begun
    monkeypatch.setenv(GPUS_VARIABLE, "1")
    assert run_stage(context, computed).reused
