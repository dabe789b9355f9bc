"""The label stage when it is cut off: killed, stopped, given up, or on a machine that fails."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext, suppress

import pytest
from ase.calculators.emt import EMT

from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker.errors import StageError, transient
from pfd_worker.label_desk import LabelDesk
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.in_process import AseLabeler
from pfd_worker.labelers.task import Calculation
from pfd_worker.store.cut_offs import CutOffs
from pfd_worker.store.labels import LabelStore, LastWords
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.label_tasks import Fails, context_of, counts, desk_of, held, label, select
from tests.unit.worker.stages.loop import LABEL, Loop


def killed_at(labeler: Fails, call: int, loop: Loop, selected: StageRef, monkeypatch) -> None:
    """Run an attempt whose container is killed while it does its nth calculation."""
    calls = labeler.calls

    def compute(calculation: Calculation) -> Verdict:
        if labeler.calls - calls == call:
            raise SystemExit("killed")
        return Fails.compute(labeler, calculation)

    with monkeypatch.context() as patch:
        patch.setattr(labeler, "compute", compute)
        patch.setattr(LabelDesk, "claims_freed", lambda _: nullcontext())
        with pytest.raises(SystemExit):
            label(loop, selected)


def test_what_kills_its_container_comes_last_and_the_third_time_is_a_failed_label(tmp_path, fails, monkeypatch):
    loop = Loop(tmp_path)
    labeler, selected = fails(""), select(loop, trajectory=False)
    killed_at(labeler, 1, loop, selected, monkeypatch)
    assert (labeler.calls, counts(loop)["wasted"]) == (1, 0)
    killed_at(labeler, 1, loop, selected, monkeypatch)
    assert (labeler.calls, counts(loop)["wasted"]) == (2, 1), "the third task was done before"
    killed_at(labeler, 0, loop, selected, monkeypatch)
    result = label(loop, selected)
    assert labeler.calls == 2, "no fourth try"
    assert result.outcome == LabelOutcome(failed=1, reused=0)
    failures = json.loads(loop.store.get(loop.manifest(result, 0).files["failures.json"].key) or b"")
    assert (failures[0]["task"], failures[0]["reason"]) == (1, "EngineKilled")
    assert "out of memory: raise spec.pods.label.resources.limits.memory" in failures[0]["message"]
    assert "Or its nodes went" in failures[0]["message"]
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 1, "wasted": 2}
    assert (held(loop), loop.store.list("claims/cut-off/")) == ([], [])
    assert label(loop, selected, memory="8Gi").outcome == LabelOutcome(failed=0, reused=0)


def test_several_that_kill_their_container_are_failed_labels_after_more_pods_than_an_index_has(tmp_path, monkeypatch):
    """So the stage is tried again: what the others cost is not lost."""

    class WantsMemory:
        def compute(self, calculation: Calculation) -> Verdict:
            if "Al" in calculation.atoms.symbols:
                raise SystemExit("killed")
            return AseLabeler(EMT).compute(calculation)

    monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda *_: nullcontext(WantsMemory()))
    loop = Loop(tmp_path)
    selected = select(loop, ("Cu", "Al", "Al", "Cu"), trajectory=False)
    pods, outcome = 0, None
    while outcome is None and pods < 9:
        pods += 1
        with monkeypatch.context() as patch, suppress(SystemExit):
            patch.setattr(LabelDesk, "claims_freed", lambda _: nullcontext())
            outcome = label(loop, selected).outcome
    assert (pods, outcome) == (7, LabelOutcome(failed=2, reused=0))
    assert counts(loop) == {"paid": 4, "reused": 0, "failed": 2, "wasted": 4}


def test_a_fault_of_the_machine_fails_no_label_until_one_calculation_meets_it_thrice(tmp_path, monkeypatch):
    class OnABadNode:
        """Its GPU fails in the second calculation, and in each one after that."""

        def __init__(self) -> None:
            self.calls = 0

        def compute(self, calculation: Calculation) -> Verdict:
            self.calls += 1
            if self.calls == 1:
                return AseLabeler(EMT).compute(calculation)
            return Verdict(reason=LabelFailure.ENGINE_ERROR, message="CUDA error: an illegal memory access")

    monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda *_: nullcontext(OnABadNode()))
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    for paid in (1, 2):
        with pytest.raises(StageError, match=r"calculation 1 met a fault .* look at the nodes: CUDA error") as caught:
            label(loop, selected)
        assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.ENGINE_LOST)
        assert counts(loop) == {"paid": paid, "reused": 0, "failed": 0, "wasted": paid}
        assert held(loop) == []
    third = OnABadNode()
    third.calls = 1
    monkeypatch.setattr("pfd_worker.stages.label.limited_labeler", lambda *_: nullcontext(third))
    result = label(loop, selected)
    assert result.outcome == LabelOutcome(failed=1, reused=0)
    failures = json.loads(loop.store.get(loop.manifest(result, 0).files["failures.json"].key) or b"")
    assert (failures[0]["reason"], failures[0]["message"]) == ("EngineError", "CUDA error: an illegal memory access")


@pytest.mark.parametrize(("kind", "name"), [(CutOffs, "note"), (Ledger, "waste")])
def test_a_fault_of_the_machine_that_a_store_which_is_away_does_not_take_is_one_all_the_same(
    tmp_path, monkeypatch, kind, name
):
    loop = Loop(tmp_path)
    desk = desk_of(context_of(loop, select(loop, trajectory=False)))
    first, *_ = desk.triage()
    desk.begin([first])
    entered, tries = getattr(kind, name), iter(range(3))

    def away_twice(*given):
        if next(tries) < 2:
            raise transient(Reason.STORE_UNAVAILABLE, "nobody answers")
        entered(*given)

    monkeypatch.setattr(kind, name, away_twice)
    for said in ("nobody answers", "nobody answers", "met a fault"):
        with pytest.raises(StageError, match=said):
            desk.settle(first, Verdict(reason=LabelFailure.ENGINE_ERROR, message="CUDA error"), 0.0)
    assert counts(loop) == {"paid": 0, "reused": 0, "failed": 0, "wasted": 1}
    assert len(loop.store.list("claims/cut-off/")) == 1


def test_a_kill_after_a_signal_is_no_fault_of_what_ran(tmp_path):
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    for attempt in range(3):
        context = context_of(loop, selected, f"desk-{attempt}")
        desk = desk_of(context)
        first, *_ = desk.triage()
        assert (first.number, counts(loop)["wasted"]) == (0, attempt)
        desk.begin([first])
        context.stopping.set()
        desk.lease.keep()


def test_claims_of_an_attempt_that_was_killed_before_it_computed_waste_nothing(tmp_path):
    loop = Loop(tmp_path)
    selected = select(loop)
    desk_of(context_of(loop, selected)).triage()
    label(loop, selected)
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 0, "wasted": 0}


@pytest.mark.parametrize(("computing", "wasted"), [(lambda keys: keys[:1], 1), (lambda keys: None, 3)])
@pytest.mark.parametrize("owner", ["uid-1", "uid-2"])
def test_of_a_dead_pods_claims_those_are_wasted_that_may_have_begun(tmp_path, monkeypatch, owner, computing, wasted):
    """A lease of an earlier version may not say which."""
    monkeypatch.setattr("pfd_worker.store.labels.CLAIM_SECONDS", 0.0)
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    context = context_of(loop, selected)
    keys = [entry.key for entry in desk_of(context).entries]
    dead = LabelStore(loop.store, f"{owner}/{context.spec.digest}/0")
    dead.tell(LastWords(computing(keys)))
    for key in keys:
        dead.claim(key)
    label(loop, selected)
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 0, "wasted": wasted}


def test_who_is_killed_while_it_takes_over_forgets_nothing_of_the_attempt_before(tmp_path, monkeypatch):
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    first = desk_of(context_of(loop, selected, "first"))
    first.begin([*first.triage()][1:2])
    with monkeypatch.context() as patch:
        patch.setattr(LabelDesk, "_take_over", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            desk_of(context_of(loop, selected, "second")).triage()
    third = desk_of(context_of(loop, selected, "third"))
    assert [entry.number for entry in third.triage()] == [0, 2, 1]
    assert counts(loop)["wasted"] == 1


def test_who_is_stopped_while_it_takes_over_forgets_nothing_of_the_attempt_before(tmp_path):
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    first = desk_of(context_of(loop, selected, "first"))
    first.begin([*first.triage()][1:2])
    second = desk_of(context_of(loop, selected, "second"))
    second.context.stopping.set()
    with pytest.raises(StageError, match="stopped while calculations were claimed"), second.claims_freed():
        second.triage()
    third = desk_of(context_of(loop, selected, "third"))
    assert [entry.number for entry in third.triage()] == [0, 2, 1]
    assert counts(loop)["wasted"] == 1


def test_sigterm_while_claims_are_made_gives_them_back_and_wastes_nothing(tmp_path, monkeypatch):
    # all at once, every claim might be made before the first of them tells
    monkeypatch.setattr("pfd_worker.label_desk.at_once", lambda work, items: [work(item) for item in items])
    loop = Loop(tmp_path)
    selected = select(loop)
    desk = desk_of(context_of(loop, selected))
    claim = desk._labels.claim

    def claim_and_stop(key):
        desk.context.stopping.set()
        return claim(key)

    desk._labels.claim = claim_and_stop
    with pytest.raises(StageError, match="stopped while calculations were claimed") as caught, desk.claims_freed():
        desk.triage()
    assert caught.value.exit_code == ExitCode.PREEMPTED
    assert held(loop) == []
    label(loop, selected)
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 0, "wasted": 0}


def test_sigterm_ends_between_calculations_and_frees_the_rest(tmp_path):
    loop = Loop(tmp_path)
    selected = select(loop)
    stopping = threading.Event()
    with pytest.raises(StageError) as caught:
        loop.run(LABEL, 1, {"select": selected}, 0, stopping, progress=lambda *_: stopping.set())
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    assert counts(loop)["paid"] == 1
    assert held(loop) == []
    label(loop, selected)
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 0, "wasted": 0}
    assert loop.store.list("claims/") == []


def test_an_error_frees_all_claims_and_only_what_ran_is_wasted(tmp_path, monkeypatch):
    loop = Loop(tmp_path)
    selected = select(loop)
    with monkeypatch.context() as patch:
        patch.setattr(AseLabeler, "compute", lambda *_: (_ for _ in ()).throw(transient(Reason.ENGINE_LOST, "gone")))
        with pytest.raises(StageError, match="gone"):
            label(loop, selected)
    assert held(loop) == []
    label(loop, selected)
    assert counts(loop) == {"paid": 7, "reused": 0, "failed": 0, "wasted": 1}


def test_what_ended_a_stage_is_told_though_claims_cannot_be_given_back(tmp_path, monkeypatch):
    loop = Loop(tmp_path)

    def refused(*_):
        raise transient(Reason.STORE_UNAVAILABLE, "nobody answers")

    monkeypatch.setattr(AseLabeler, "compute", lambda *_: (_ for _ in ()).throw(transient(Reason.ENGINE_LOST, "gone")))
    monkeypatch.setattr(LabelStore, "release", refused)
    with pytest.raises(StageError, match="gone"):
        label(loop, select(loop))
