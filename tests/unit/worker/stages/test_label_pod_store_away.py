"""What an engine with an image of its own has computed while the store is away."""

from __future__ import annotations

import pytest

from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker import label_pod
from pfd_worker.errors import StageError, transient
from pfd_worker.stage_context import StageContext
from pfd_worker.store.labels import LabelStore
from pfd_worker.store.lease import Lease
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.label_tasks import POD, context_of, counts, held, select
from tests.unit.worker.stages.loop import Loop


def away(answers: int, method):
    """Return a method that finds the store away so many times."""
    left = [answers]

    def ask(*given, **named):
        left[0] -= 1
        if left[0] >= 0:
            raise transient(Reason.STORE_UNAVAILABLE, "nobody answers")
        return method(*given, **named)

    return ask


@pytest.mark.parametrize(("kind", "name"), [(LabelStore, "save"), (Ledger, "enter"), (LabelStore, "release")])
def test_what_the_engine_has_finished_waits_for_the_store(tmp_path, image, monkeypatch, kind, name):
    monkeypatch.setattr(label_pod, "_POLL_SECONDS", 0.0)
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    label_pod.stage_in(context)
    for folder in (context.workdir / "engine" / "tasks").iterdir():
        (folder / "exit_code").write_text("3\n")
    monkeypatch.setattr(kind, name, away(2, getattr(kind, name)))
    assert label_pod.stage_out(context).outcome == LabelOutcome(failed=3, reused=0)
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 3, "wasted": 0}
    assert held(loop) == []


def engine_that_has_ended(loop: Loop, selected: StageRef, name: str) -> StageContext:
    """Return a pod whose results are not stored yet."""
    context = context_of(loop, selected, name, POD)
    label_pod.stage_in(context)
    for folder in (context.workdir / "engine" / "tasks").iterdir():
        (folder / "engine.out").touch()
        (folder / "exit_code").write_text("3\n")
    (context.workdir / "engine" / "done").touch()
    return context


def test_a_pod_whose_engine_has_ended_gives_up_when_the_store_has_been_away_for_long(tmp_path, image, monkeypatch):
    """Nor does it ask that store to take each claim back: the next attempt has them by its name."""
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)

    def nobody(*_):
        raise transient(Reason.STORE_UNAVAILABLE, "nobody answers")

    for attempt in range(3):
        context = engine_that_has_ended(loop, selected, f"lost-{attempt}")
        with monkeypatch.context() as patch:
            patch.setattr(LabelStore, "save", nobody)
            patch.setattr(Lease, "give_up", nobody)
            patch.setattr(LabelStore, "release", lambda *_: pytest.fail("the store is away"))
            with pytest.raises(StageError, match="nobody answers"):
                label_pod.stage_out(context)
    assert label_pod.stage_out(engine_that_has_ended(loop, selected, "next")).outcome.failed == 3
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 3, "wasted": 0}


def test_what_had_finished_when_the_store_went_is_not_to_blame(tmp_path, image, monkeypatch):
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    for attempt in range(3):
        context = engine_that_has_ended(loop, selected, f"lost-{attempt}")
        with monkeypatch.context() as patch:
            patch.setattr(LabelStore, "save", away(1, LabelStore.save))
            with pytest.raises(StageError, match="nobody answers"):
                label_pod.stage_out(context)
        assert held(loop) == []
    assert loop.store.list("claims/cut-off/") == []
    assert counts(loop) == {"paid": 0, "reused": 0, "failed": 0, "wasted": 9}


def test_what_ran_when_the_store_went_is_not_to_blame_if_that_can_be_said(tmp_path, image, monkeypatch):
    loop = Loop(tmp_path)
    selected = select(loop, trajectory=False)
    context = engine_that_has_ended(loop, selected, "lost")
    (context.workdir / "engine" / "tasks" / "000001" / "exit_code").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(LabelStore, "save", away(1, LabelStore.save))
        with pytest.raises(StageError, match="nobody answers"):
            label_pod.stage_out(context)
    label_pod.stage_in(context_of(loop, selected, "next", POD))
    assert (loop.store.list("claims/cut-off/"), counts(loop)["wasted"]) == ([], 3)
