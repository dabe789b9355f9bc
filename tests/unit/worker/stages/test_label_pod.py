"""Labels by an engine in an image of its own: stage-in, its script, stage-out."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from pfd_operator.contract.containers import Side
from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker import __main__, label_pod
from pfd_worker.errors import StageError
from pfd_worker.labelers.outputs import exit_code_of
from pfd_worker.store.labels import CLAIM_SECONDS, LabelStore
from tests.unit.worker.stages.label_tasks import POD, context_of, counts, desk_of, held, select
from tests.unit.worker.stages.loop import Loop


def run_script(shared: Path) -> None:
    subprocess.run(["sh", str(shared / "run.sh")], check=True, timeout=30)


def test_the_script_goes_on_after_a_killed_calculation_and_verdicts_are_stored(tmp_path, image):
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    folders = sorted((context.workdir / "engine" / "tasks").iterdir())
    assert [(folder / "run.abi.in").exists() for folder in folders] == [True] * 3
    for folder, ending in zip(folders, ("kill -9 $$", "echo last words; exit 3", "exit 0"), strict=True):
        (folder / "command.sh").write_text(f"{ending}\n")
    run_script(context.workdir / "engine")
    assert [(folder / "exit_code").read_text().strip() for folder in folders] == ["137", "3", "0"]
    result = label_pod.stage_out(context)
    assert result.outcome == LabelOutcome(failed=3, reused=0)
    failures = json.loads(loop.store.get(loop.manifest(result, 0).files["failures.json"].key) or b"")
    assert [failure["reason"] for failure in failures] == ["EngineKilled", "EngineError", "EngineError"]
    assert "last words" in failures[1]["message"]
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 3, "wasted": 0}


def test_an_engine_that_never_beats_is_lost_and_its_claims_are_free(tmp_path, monkeypatch, image):
    monkeypatch.setattr(label_pod, "HEARTBEAT_LOST_SECONDS", 0.5)
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    (context.workdir / "engine" / "tasks" / "000000" / "engine.out").touch()
    with pytest.raises(StageError) as caught:
        label_pod.stage_out(context)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.ENGINE_LOST)
    assert held(loop) == []
    assert counts(loop)["wasted"] == 1, "only what had begun was cut off"


def test_what_takes_the_engines_container_along_runs_last_and_fails_the_third_time(tmp_path, monkeypatch, image):
    monkeypatch.setattr(label_pod, "HEARTBEAT_LOST_SECONDS", 0.5)
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    last = "000000 tasks/000002 tasks/000001"
    for attempt, order in enumerate(["000000 tasks/000001 tasks/000002", last, last]):
        context = context_of(loop, selected, f"pod-{attempt}", POD)
        label_pod.stage_in(context)
        shared = context.workdir / "engine"
        assert f"for task in tasks/{order}; do" in (shared / "run.sh").read_text()
        (shared / "tasks" / "000001" / "engine.out").touch()
        with pytest.raises(StageError, match="the engine's container ended"):
            label_pod.stage_out(context)
    assert held(loop) == []
    assert counts(loop) == {"paid": 1, "reused": 0, "failed": 1, "wasted": 2}
    context = context_of(loop, selected, "last", POD)
    label_pod.stage_in(context)
    assert "for task in tasks/000000 tasks/000002; do" in (context.workdir / "engine" / "run.sh").read_text()


def test_a_disk_that_is_full_fails_no_label(tmp_path, image):
    """Nor would what comes after: the program cannot write, nor can our script."""
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    first, second, _ = sorted((context.workdir / "engine" / "tasks").iterdir())
    (first / "exit_code").write_text("2\n")
    (first / "engine.out").write_text("no such basis set")
    (second / "exit_code").touch()
    with pytest.raises(StageError, match="exit_code is empty: it could not be written") as caught:
        label_pod.stage_out(context)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.ENGINE_LOST)
    assert held(loop) == []
    assert counts(loop) == {"paid": 1, "reused": 0, "failed": 1, "wasted": 1}


def test_what_another_job_gave_up_costs_none_of_this_ones_tries(tmp_path, monkeypatch, image):
    loop = Loop(tmp_path)
    selected = select(loop, ("Cu",), trajectory=False)
    other = LabelStore(loop.store, "other")
    context = context_of(loop, selected, params=POD)
    key = desk_of(context).entries[0].key
    other.claim(key)
    label_pod.stage_in(context)
    other.release(key)
    with pytest.raises(StageError, match="another job gave up") as caught:
        label_pod.stage_out(context)
    assert caught.value.exit_code == ExitCode.PREEMPTED


def test_a_label_pod_that_is_stopped_wastes_only_what_had_begun(tmp_path, image):
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    (context.workdir / "engine" / "tasks" / "000000" / "engine.out").touch()
    context.stopping.set()
    with pytest.raises(StageError, match="stopped with 3 calculations to go") as caught:
        label_pod.stage_out(context)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    assert held(loop) == []
    assert counts(loop) == {"paid": 0, "reused": 0, "failed": 0, "wasted": 1}


@pytest.mark.parametrize("store_opens", [True, False])
def test_the_engine_ends_with_the_container_that_stores_its_labels(tmp_path, image, monkeypatch, store_opens):
    """Else it computes on for nobody, and the pod does not end before it has."""
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    for folder in (context.workdir / "engine" / "tasks").iterdir():
        (folder / "command.sh").write_text("sleep 60\n")

    def denied(*_):
        raise StageError(ExitCode.USER_ERROR, Reason.STORE_DENIED, "the keys were changed")

    monkeypatch.setattr(label_pod.LabelDesk, "begin", denied)
    monkeypatch.setattr(__main__, "make_context", (lambda _: context) if store_opens else denied)
    # what a process of its own would not leave behind
    monkeypatch.setattr(__main__.log, "configure", lambda **_: None)
    monkeypatch.setattr(__main__.signal, "signal", lambda *_: None)
    monkeypatch.setenv("PFD_TERMINATION_LOG", str(tmp_path / "told"))
    assert __main__.main([Side.LABEL_OUT, "--workdir", str(context.workdir)]) == ExitCode.USER_ERROR
    assert "keys were changed" in (tmp_path / "told").read_text()
    run_script(context.workdir / "engine")
    assert not (context.workdir / "engine" / "done").exists()


def test_inputs_that_cannot_be_written_leave_no_claims(tmp_path, image, monkeypatch):
    loop = Loop(tmp_path)

    def fails(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("pfd_worker.labelers.abinit.AbinitLabeler.write_inputs", fails)
    with pytest.raises(OSError, match="no space"):
        label_pod.stage_in(context_of(loop, select(loop), params=POD))
    assert held(loop) == []


def test_claims_are_kept_while_inputs_are_written_and_when_another_container_goes_on_with_them(
    tmp_path, image, monkeypatch
):
    monkeypatch.setattr("pfd_worker.store.lease._TELL_SECONDS", 0.0)
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    ages = []

    def takes_long(*_):
        (owner,) = loop.store.list("claims/owners/")
        ages.append(loop.store.age_seconds(owner))
        os.utime(loop.store.root / owner, (0, 0))

    monkeypatch.setattr("pfd_worker.labelers.abinit.AbinitLabeler.write_inputs", takes_long)
    label_pod.stage_in(context)

    def denied(*_):
        takes_long()
        raise StageError(ExitCode.USER_ERROR, Reason.STORE_DENIED, "the keys were changed")

    monkeypatch.setattr(label_pod.LabelDesk, "begin", denied)
    with pytest.raises(StageError, match="keys were changed"):
        label_pod.stage_out(context)
    assert len(ages) == 4
    assert all(age is not None and age < CLAIM_SECONDS for age in ages)


def test_a_pod_that_is_stopped_while_inputs_are_written_gives_all_back_and_wastes_nothing(tmp_path, image, monkeypatch):
    """No other container of it would: none is started."""
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    context = context_of(loop, selected, "stopped", POD)
    writes = "pfd_worker.labelers.abinit.AbinitLabeler.write_inputs"
    monkeypatch.setattr(writes, lambda *_: context.stopping.set())
    with pytest.raises(StageError, match="stopped before any of 3 calculations was begun") as caught:
        label_pod.stage_in(context)
    assert caught.value.exit_code == ExitCode.PREEMPTED
    assert held(loop) == []
    assert counts(loop)["wasted"] == 0


def test_what_a_lost_node_was_computing_is_wasted_and_no_other_claim_of_its_pod(tmp_path, image, monkeypatch):
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    context = context_of(loop, selected, "lost", POD)
    label_pod.stage_in(context)
    (context.workdir / "engine" / "tasks" / "000001" / "engine.out").touch()
    with monkeypatch.context() as patch:
        patch.setattr(label_pod.time, "sleep", lambda _: (_ for _ in ()).throw(SystemExit("the node is gone")))
        patch.setattr(label_pod.LabelDesk, "claims_freed", lambda _: nullcontext())
        with pytest.raises(SystemExit):
            label_pod.stage_out(context)
    context = context_of(loop, selected, "next", POD)
    label_pod.stage_in(context)
    assert "for task in tasks/000000 tasks/000002 tasks/000001; do" in (context.workdir / "engine/run.sh").read_text()
    assert counts(loop)["wasted"] == 1


def test_a_calculation_took_from_the_end_of_the_one_before_to_its_own(tmp_path, image):
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    now = time.time()
    for folder, after in zip(sorted((context.workdir / "engine" / "tasks").iterdir()), (300, 100, 1000), strict=True):
        (folder / "exit_code").write_text("3\n")
        os.utime(folder / "exit_code", (now + after, now + after))
    label_pod.stage_out(context)
    records = [json.loads(loop.store.get(name) or b"") for name in loop.store.list("labels/")]
    assert sorted(record["seconds"] for record in records) == pytest.approx([100, 200, 700], abs=10)


def test_what_an_engine_puts_in_the_place_of_our_files_fails_its_labels_only(tmp_path, image):
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    shared = context.workdir / "engine"
    secret = tmp_path / "keys"
    secret.write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "exit_code").write_text("secret")
    first, second, third = sorted((shared / "tasks").iterdir())
    os.mkfifo(first / "exit_code")
    (second / "exit_code").symlink_to(secret)
    third.rename(tmp_path / "moved")
    third.symlink_to(tmp_path / "elsewhere")
    (shared / "heartbeat").symlink_to("heartbeat")
    (shared / "engine-probe").write_text("0 program:abinit\n0 file:Cu.psp8\n")
    result = label_pod.stage_out(context)
    assert result.outcome == LabelOutcome(failed=3, reused=0)
    failures = json.loads(loop.store.get(loop.manifest(result, 0).files["failures.json"].key) or b"")
    assert [failure["reason"] for failure in failures] == ["OutputUnreadable"] * 3
    assert "no plain file" in failures[0]["message"]
    assert all("a link is not followed" in failure["message"] for failure in failures[1:])
    assert "secret" not in json.dumps(failures)


def test_a_number_that_our_script_does_not_write_is_no_exit_code(tmp_path):
    (tmp_path / "exit_code").write_text("0 and words")
    with pytest.raises(ValueError, match="exit_code holds no number"):
        exit_code_of(tmp_path)
