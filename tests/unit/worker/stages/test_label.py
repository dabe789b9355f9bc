"""The label stage on a store in a folder: what is computed, reused, failed, taken over, counted."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ase.calculators.emt import EMT

from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, user_error
from pfd_worker.frames import energy_of, read_frames
from pfd_worker.label_desk import LabelDesk
from pfd_worker.labelers.base import LASTING_FAILURES, LabelFailure, Verdict
from pfd_worker.labelers.in_process import AseLabeler
from pfd_worker.labelers.registry import limited_labeler
from pfd_worker.labelers.task import Calculation
from pfd_worker.run import commit
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.stages import label as label_stage
from pfd_worker.stages.select import once_more
from pfd_worker.store.labels import LabelStore
from pfd_worker.store.ledger import Ledger
from pfd_worker.store.manifests import manifest_key
from tests.unit.worker.stages.label_tasks import context_of, counts, crystals, desk_of, label, select
from tests.unit.worker.stages.loop import LABEL, Loop, aimd, single_point


def test_labels_are_the_calculators_and_are_counted(tmp_path):
    loop = Loop(tmp_path)
    result = label(loop, select(loop))
    manifest = loop.manifest(result, 0)
    assert result.outcome == LabelOutcome(failed=0, reused=0)
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 0, "wasted": 0}
    path = tmp_path / "labels.extxyz"
    loop.store.download(manifest.files["labels.extxyz"].key, path)
    for frame in read_frames(path):
        check = frame.copy()
        check.calc = EMT()
        assert energy_of(frame) == pytest.approx(check.get_potential_energy(), abs=1e-5)
        assert {"label_key", "purpose", "sampling", "stratum", "trajectory", "system", "virial"} <= set(frame.info)
    assert loop.store.list("claims/") == []


def test_frames_of_a_noise_check_are_computed_by_the_tighter_engine_and_paid_for(tmp_path):
    loop = Loop(tmp_path)
    tasks = [single_point(number) for number in range(3)]
    asked = [*tasks, *once_more(tasks, 2)]
    selected = loop.selected(crystals("Cu", "Cu", "Cu"), asked, purpose="hold-out", representativeFraction=1)
    tighter = {"ase": {"calculator": "ase.calculators.emt:EMT", "parameters": {"asap_cutoff": True}}}
    result = label(loop, selected, tighter=tighter)
    assert result.outcome == LabelOutcome(failed=0, reused=0)
    assert counts(loop)["paid"] == 5
    path = tmp_path / "labels.extxyz"
    loop.store.download(loop.manifest(result, 0).files["labels.extxyz"].key, path)
    frames = read_frames(path)
    assert [frame.info["purpose"] for frame in frames] == ["training"] * 3 + ["noise"] * 2
    for frame in frames:
        check = frame.copy()
        check.calc = EMT(asap_cutoff=frame.info["purpose"] == "noise")
        assert energy_of(frame) == pytest.approx(check.get_potential_energy(), abs=1e-5)


@pytest.mark.parametrize(("count", "chosen"), [(0, []), (1, [3]), (2, [1, 4]), (6, [0, 1, 2, 3, 4, 5]), (9, range(6))])
def test_frames_of_a_noise_check_are_spread_over_the_single_points(count, chosen):
    more = once_more([*(single_point(number) for number in range(6)), aimd(6, 4)], count)
    assert [(item.aimd, item.frame, item.purpose) for item in more] == [(None, n, "noise") for n in chosen]


def test_of_frames_to_train_on_a_noise_check_takes_the_newest():
    novelties = {0: 0.2, 1: None, 2: 0.9, 3: 0.5}
    tasks = [replace(single_point(number), novelty=novelty) for number, novelty in novelties.items()]
    assert [[item.frame for item in once_more([*tasks, aimd(4, 4)], count)] for count in range(3)] == [[], [2], [2, 3]]
    assert [item.frame for item in once_more(tasks, 9)] == [2, 3, 0]


def test_the_same_stage_of_another_job_pays_nothing(tmp_path):
    loop, other = Loop(tmp_path), Loop(tmp_path, uid="uid-2")
    selected = select(loop)
    label(loop, selected)
    other.runs = 10
    again = label(other, selected)
    assert again.reused
    assert counts(other, "uid-2") == {"paid": 0, "reused": 7, "failed": 0, "wasted": 0}


def test_another_stage_with_the_same_frames_pays_nothing(tmp_path):
    loop, other = Loop(tmp_path), Loop(tmp_path, uid="uid-2")
    selected = select(loop)
    label(loop, selected)
    other.runs = 10
    again = label(other, selected, timeoutSeconds=61)
    assert not again.reused
    assert again.outcome == LabelOutcome(failed=0, reused=7)
    assert counts(other, "uid-2") == {"paid": 0, "reused": 7, "failed": 0, "wasted": 0}


def test_a_failed_label_is_told_counted_and_stops_no_other(tmp_path):
    loop = Loop(tmp_path)
    result = label(loop, select(loop, ("Cu", "Si", "Cu"), trajectory=False))
    assert result.outcome == LabelOutcome(failed=1, reused=0)
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 1, "wasted": 0}
    failures = json.loads(loop.store.get(loop.manifest(result, 0).files["failures.json"].key) or b"")
    assert failures[0]["task"] == 1
    assert "Si" in failures[0]["message"]


def aimd_fails_at_the_third_step(monkeypatch, reason):
    class FailsAtTheThird:
        def compute(self, task: Calculation) -> Verdict:
            verdict = AseLabeler(EMT).compute(task)
            if task.aimd is None:
                return verdict
            return Verdict(verdict.frames[:2], reason, "its last words")

    monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda *given: nullcontext(FailsAtTheThird()))


def test_steps_before_one_that_fails_are_labels_and_paid_for(tmp_path, monkeypatch):
    aimd_fails_at_the_third_step(monkeypatch, LabelFailure.SCF_NOT_CONVERGED)
    loop, other = Loop(tmp_path), Loop(tmp_path, uid="uid-2")
    selected = select(loop)
    result = label(loop, selected)
    assert result.outcome == LabelOutcome(failed=1, reused=0)
    label(loop, selected)
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 2, "wasted": 0}
    other.runs = 10
    assert label(other, selected, timeoutSeconds=6000).outcome == LabelOutcome(failed=1, reused=7)
    assert counts(other, "uid-2") == {"paid": 0, "reused": 7, "failed": 0, "wasted": 0}


@pytest.mark.parametrize("reason", sorted(set(LabelFailure) - LASTING_FAILURES))
def test_what_may_succeed_with_more_time_or_memory_is_final_for_its_stage_only(tmp_path, fails, reason):
    loop, other = Loop(tmp_path), Loop(tmp_path, uid="uid-2")
    labeler, selected = fails(reason), select(loop, ("Cu", "Cu"), trajectory=False)
    assert label(loop, selected).outcome == LabelOutcome(failed=2, reused=0)
    assert label(loop, selected).reused, "the stage stays what it is"
    other.runs = 10
    assert label(other, selected).reused
    assert labeler.calls == 2
    labeler.reason = None
    assert label(loop, selected, timeoutSeconds=6000).outcome == LabelOutcome(failed=0, reused=0)
    assert counts(loop) == {"paid": 4, "reused": 0, "failed": 2, "wasted": 0}
    assert label(other, selected, timeoutSeconds=6001).outcome == LabelOutcome(failed=0, reused=2)
    assert labeler.calls == 4
    assert counts(other, "uid-2") == {"paid": 0, "reused": 4, "failed": 0, "wasted": 0}


def test_a_cycle_that_does_not_converge_does_not_for_anybody(tmp_path, fails):
    loop, other = Loop(tmp_path), Loop(tmp_path, uid="uid-2")
    labeler, selected = fails(LabelFailure.SCF_NOT_CONVERGED), select(loop, ("Cu",), trajectory=False)
    label(loop, selected)
    other.runs = 10
    assert label(other, selected, timeoutSeconds=6000).outcome == LabelOutcome(failed=1, reused=1)
    assert labeler.calls == 1


def test_an_attempt_that_goes_on_neither_tries_again_nor_counts_twice(tmp_path, fails):
    loop = Loop(tmp_path)
    labeler, selected = fails(LabelFailure.TIMED_OUT), select(loop, trajectory=False)
    stopping = threading.Event()
    with pytest.raises(StageError):
        loop.run(LABEL, 1, {"select": selected}, 0, stopping, progress=lambda *_: stopping.set())
    assert (labeler.calls, counts(loop)["failed"]) == (1, 1)
    result = label(loop, selected)
    assert labeler.calls == 3
    assert result.outcome.failed == 3
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 3, "wasted": 0}
    label(loop, selected)
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 3, "wasted": 0}


def test_jobs_at_the_same_time_compute_each_label_once(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.label_desk._WAIT_SECONDS", 0.05)
    # each job in a process of its own, as it is: calculations change the working directory
    monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", limited_labeler)
    selected = select(Loop(tmp_path))

    def work(number: int) -> None:
        loop = Loop(tmp_path, uid=f"uid-{number}")
        loop.runs = 100 * (number + 1)
        label(loop, selected, timeoutSeconds=60 + number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    books = [counts(Loop(tmp_path), f"uid-{number}") for number in range(4)]
    assert sum(book["paid"] for book in books) == 7
    assert sum(book["reused"] for book in books) == 21
    assert sum(book["wasted"] for book in books) == 0


def test_a_kill_between_label_and_ledger_neither_loses_nor_doubles(tmp_path, monkeypatch):
    loop = Loop(tmp_path)
    selected = select(loop)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "enter", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        patch.setattr(LabelDesk, "claims_freed", lambda _: nullcontext())
        with pytest.raises(SystemExit):
            label(loop, selected)
    assert counts(loop)["paid"] == 0
    label(loop, selected)
    # the stored one is not computed again, and the others had not begun
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 0, "wasted": 0}


def test_of_two_attempts_the_first_to_commit_wins(tmp_path):
    loop = Loop(tmp_path)
    spec = loop.spec(LABEL, 1, {"select": select(loop)})
    payload = tmp_path / "labels.extxyz"
    manifests = []
    for text in ("first", "second"):
        payload.write_text(text)
        context = StageContext(spec, loop.store, tmp_path, index=0)
        manifests.append(commit(context, StageOutput(files={payload.name: payload}), 1.0))
    assert manifests[0] == manifests[1]
    assert loop.store.get(manifests[1].files[payload.name].key) == b"first"
    assert loop.store.get(manifest_key(context.digest, 0)) is not None


def test_a_claim_of_another_job_that_gives_up_is_taken_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.label_desk._WAIT_SECONDS", 0.05)
    loop = Loop(tmp_path)
    selected = select(loop, ("Cu",), trajectory=False)
    key = desk_of(context_of(loop, selected)).entries[0].key
    other = LabelStore(loop.store, "other")
    other.claim(key)
    wait = LabelDesk.all_there

    def wait_until_it_is_released(desk: LabelDesk) -> bool:
        threading.Timer(0.2, other.release, [key]).start()
        return wait(desk)

    monkeypatch.setattr(LabelDesk, "all_there", wait_until_it_is_released)
    assert label(loop, selected).outcome == LabelOutcome(failed=0, reused=0)
    assert counts(loop) == {"paid": 1, "reused": 0, "failed": 0, "wasted": 0}


def test_claims_are_renewed_after_a_refusal_that_came_once(monkeypatch, caplog):
    monkeypatch.setattr(label_stage, "_RENEW_SECONDS", 0.01)
    calls, renewed_again = iter(range(9)), threading.Event()

    def keep():
        if next(calls) == 0:
            raise user_error(Reason.STORE_DENIED, "refused for once")
        renewed_again.set()

    with label_stage._claims_kept(SimpleNamespace(lease=SimpleNamespace(keep=keep))):
        assert renewed_again.wait(10)
    assert "claims are not renewed: refused for once" in caplog.text
