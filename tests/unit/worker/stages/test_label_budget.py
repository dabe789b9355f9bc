"""The label stage within the job's budget: by what the ledger says, before anything is paid for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY, Mock

import pytest
from ase.calculators.emt import EMT

from pfd_operator.contract.result import ExitCode, LabelCounts, Reason, StageResult
from pfd_operator.contract.stage import BudgetSoFar, StageRef
from pfd_worker.errors import StageError
from pfd_worker.labelers.base import LabelFailure
from pfd_worker.labelers.task import Task
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.run import failure_of
from pfd_worker.stage_context import StageContext
from pfd_worker.stages.select import once_more
from pfd_worker.store.ledger import Ledger
from pfd_worker.store.manifests import mark, read_manifest
from tests.unit.worker.stages.label_tasks import Fails, context_of, counts, crystals, desk_of, select
from tests.unit.worker.stages.loop import LABEL, Loop, aimd, single_point

LONGER = {"timeoutSeconds": 6000}


def label(loop: Loop, selected: StageRef, most: int, index: int = 0, **changes) -> StageResult:
    """Label one index of two frames, of a job that may pay for so many labels."""
    loop.budget = BudgetSoFar(max_labels=most, max_iterations=4)
    return loop.run(LABEL | {"framesPerPod": 2} | changes, 1, {"select": selected}, index)


def refused(loop: Loop, selected: StageRef, most: int, index: int = 0, **changes) -> tuple[int, int | None]:
    """Return what a pod says that may not begin: labels paid for, and labels that the stage lacks."""
    before, claims = counts(loop), loop.store.list("claims/")
    with pytest.raises(StageError, match=r"left \(spec\.budget\.maxLabels\)") as caught:
        label(loop, selected, most, index, **changes)
    code, result = failure_of(caught.value)
    assert (code, result.reason) == (ExitCode.USER_ERROR, Reason.LABEL_BUDGET)
    assert (counts(loop), loop.store.list("claims/")) == (before, claims)
    assert result.labels == LabelCounts(**before)
    assert result.digest is not None, "where it would have committed"
    return before["paid"], result.lacks


@pytest.fixture
def copper(tmp_path) -> tuple[Loop, StageRef]:
    """Four frames, of two pods."""
    loop = Loop(tmp_path)
    return loop, select(loop, ("Cu",) * 4, trajectory=False)


def killed_after(loop: Loop, selected: StageRef, labels: int, monkeypatch, index: int = 0, **changes) -> None:
    """Run a pod that dies after so many labels, of which nobody hears."""

    def told(percent: float, message: str) -> None:
        if percent >= 50 * labels:
            raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr("pfd_worker.label_desk.LabelDesk._give_up", lambda _: None)
        with pytest.raises(SystemExit):
            loop.budget = BudgetSoFar(max_labels=4, max_iterations=4)
            params = LABEL | {"framesPerPod": 2} | changes
            loop.run(params, 1, {"select": selected}, index, progress=told)


@pytest.mark.parametrize("change", [{}, LONGER, {"memory": "8Gi"}, {"framesPerPod": 4}])
def test_what_a_dead_pod_has_paid_for_is_found_and_only_the_rest_is_paid(copper, monkeypatch, change):
    loop, selected = copper
    label(loop, selected, 4, 1)
    killed_after(loop, selected, 1, monkeypatch)
    assert counts(loop)["paid"] == 3
    # of another owner the dead pod's claim is waited for
    monkeypatch.setattr("pfd_worker.store.labels.CLAIM_SECONDS", 0.0)
    assert refused(loop, selected, 3, **change) == (3, 1)
    ended = label(loop, selected, 4, **change)
    assert counts(loop)["paid"] == 4
    # as if nobody had heard of that, and the budget were lowered
    assert label(loop, selected, 0, **change) == ended.model_copy(update={"reused": True, "seconds": ANY})


@pytest.mark.parametrize("index", [0, 1])
def test_a_pod_begins_nothing_if_that_of_all_pods_is_too_much(copper, index):
    loop, selected = copper
    assert refused(loop, selected, 3, index) == (0, 4)
    assert refused(loop, selected, 0, index) == (0, 4)
    for each in (index, 1 - index):
        label(loop, selected, 4, each)
    assert counts(loop)["paid"] == 4


@pytest.mark.parametrize(("reason", "lacks"), [(LabelFailure.TIMED_OUT, 2), (LabelFailure.SCF_NOT_CONVERGED, 0)])
def test_failures_that_are_tried_again_are_within_the_budget_and_others_cost_nothing(copper, fails, reason, lacks):
    loop, selected = copper
    label(loop, selected, 4, 1)
    labeler: Fails = fails(reason)
    label(loop, selected, 4)
    assert (labeler.calls, counts(loop)) == (2, {"paid": 4, "reused": 0, "failed": 2, "wasted": 0})
    if lacks:
        assert refused(loop, selected, 5, **LONGER) == (4, lacks)
        # the other pod lacks nothing
        label(loop, selected, 5, 1, **LONGER)
    label(loop, selected, 4 + lacks, **LONGER)
    assert counts(loop)["paid"] == 4 + lacks


def test_failures_of_several_pods_that_are_tried_again_are_within_the_budget(copper, fails):
    loop, selected = copper
    fails(LabelFailure.TIMED_OUT)
    manifests = [loop.manifest(label(loop, selected, 4, index), index) for index in range(2)]
    for manifest in manifests:
        mark(loop.store, manifest, again=True)
    assert refused(loop, selected, 7) == (4, 4)


def test_a_budget_that_holds_for_one_pod_holds_for_all_at_any_moment(copper):
    loop, selected = copper

    def pod(index: int) -> StageResult:
        mine = Loop(loop.folder)
        mine.runs = 10 * index
        return label(mine, selected, 4, index, framesPerPod=1)

    with ThreadPoolExecutor(4) as pods:
        assert all(result.ok for result in pods.map(pod, range(4)))
    assert counts(loop)["paid"] == 4


def test_labels_of_another_job_cost_nothing(copper):
    loop, selected = copper
    other = Loop(loop.folder, uid="uid-2")
    other.runs = 10
    label(other, selected, 4, 1, **LONGER)
    assert refused(loop, selected, 1) == (0, 2)
    for index in range(2):
        label(loop, selected, 2, index)
    assert counts(loop) == {"paid": 2, "reused": 2, "failed": 0, "wasted": 0}


def test_labels_of_another_job_that_were_deleted_are_lacking(copper):
    loop, selected = copper
    other = Loop(loop.folder, uid="uid-2")
    other.runs = 10
    for index in range(2):
        label(other, selected, 4, index, **LONGER)
        label(loop, selected, 0, index)
    assert counts(loop) == {"paid": 0, "reused": 4, "failed": 0, "wasted": 0}
    for name in (*loop.store.list("labels/"), *(name for name in loop.store.list("stages/") if "index-" in name)):
        loop.store.delete(name)
    assert refused(loop, selected, 3) == (0, 4)
    for index in range(2):
        label(loop, selected, 4, index)
    assert counts(loop)["paid"] == 4


def test_a_label_that_was_stored_and_not_entered_is_paid_for(copper, monkeypatch):
    loop, selected = copper
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "enter", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        patch.setattr("pfd_worker.label_desk.LabelDesk._give_up", lambda _: None)
        with pytest.raises(SystemExit):
            label(loop, selected, 4, 1)
    assert counts(loop)["paid"] == 0
    assert refused(loop, selected, 3) == (0, 4)


@pytest.mark.parametrize("frames", [4, 12])
def test_tasks_and_frames_of_all_pods_are_read_once(tmp_path, monkeypatch, frames):
    loop = Loop(tmp_path)
    selected = select(loop, ("Cu",) * frames, trajectory=False)
    label(loop, selected, frames, framesPerPod=1)
    parsed, parts = Mock(side_effect=Task.from_json), Mock(side_effect=StageContext.fetch_parts)
    with monkeypatch.context() as patch:
        patch.setattr("pfd_worker.label_files.Task.from_json", parsed)
        patch.setattr(StageContext, "fetch_parts", lambda *asked: parts(*asked))
        label(loop, selected, frames, 1, framesPerPod=1)
    # frames of its own, and of all: however many pods there are
    assert (parsed.call_count / frames, parts.call_count) == (1, 2)


@pytest.mark.parametrize("frames", [4, 12])
def test_what_is_paid_for_is_counted_without_a_look_at_each_pods_manifest(tmp_path, monkeypatch, frames):
    loop = Loop(tmp_path)
    selected = select(loop, ("Cu",) * frames, trajectory=False)
    for index in range(2, frames):
        label(loop, selected, frames, index, framesPerPod=1)
    asked = Mock(side_effect=type(loop.store).get)
    monkeypatch.setattr(type(loop.store), "get", lambda *given: asked(*given))
    label(loop, selected, frames, framesPerPod=1)
    # the selection's, and its own: whether it is done, and whether it was done before
    assert sum(call.args[1].endswith("manifest.json") for call in asked.call_args_list) == 3


def test_a_pod_that_counts_stops_when_told_to(copper):
    loop, selected = copper
    label(loop, selected, 4, 1)
    context = context_of(loop, selected)
    context.spec = context.spec.model_copy(update={"budget": BudgetSoFar(max_labels=2, max_iterations=4)})
    context.stopping.set()
    with pytest.raises(StageError, match="labels of the stage were counted") as caught:
        desk_of(context).triage()
    assert caught.value.exit_code is ExitCode.PREEMPTED


def test_steps_of_a_trajectory_and_checks_of_labels_count_each(tmp_path):
    loop = Loop(tmp_path)
    tasks = [single_point(0), aimd(1, steps=4), single_point(0)]
    tighter = {"ase": {"calculator": "ase.calculators.emt:EMT", "parameters": {"asap_cutoff": True}}}
    selected = loop.selected(crystals("Cu", "Cu"), [*tasks, *once_more(tasks[:1], 1)])
    # the third is the first once more, and costs nothing
    assert refused(loop, selected, 5, tighter=tighter) == (0, 6)
    for index in range(2):
        label(loop, selected, 6, index, tighter=tighter)
    assert counts(loop)["paid"] == 6


Ask = Callable[..., StageResult]


def lacking(attempt: Callable[[], StageResult]) -> int | None:
    """Return the labels that a stage lacks by a pod of it, which may not begin."""
    with pytest.raises(StageError) as caught:
        attempt()
    return failure_of(caught.value)[1].lacks


@pytest.fixture
def ask(copper, monkeypatch) -> Ask:
    """Let the teacher label one index of a stage, of a job that may pay for so many labels."""
    monkeypatch.setattr("pfd_worker.teacher.open_model", lambda *_: CalculatorModel(EMT))
    first, selected = copper
    prepare = first.committed({"stage": "prepare", "systems": [], "training": {"steps": 1}}, 1, {})

    def ask(loop: Loop, most: int, index: int, each: int = 2) -> StageResult:
        loop.budget = BudgetSoFar(max_labels=most, max_iterations=4)
        params = {"stage": "label", "framesPerPod": each, "timeoutSeconds": 60}
        return loop.run(params, 1, {"select": selected, "prepare": prepare}, index)

    return ask


def test_a_teachers_labels_are_within_the_budget(copper, ask):
    loop, _ = copper
    ask(loop, 4, 0, 3)
    assert counts(loop)["paid"] == 3
    assert lacking(lambda: ask(loop, 3, 1, 3)) == 1
    assert lacking(lambda: ask(loop, 3, 0, 4)) == 4
    first = ask(loop, 4, 1, 3)
    assert counts(loop)["paid"] == 4
    # as after LabelsFailed, and as if the budget were lowered below what is paid
    mark(loop.store, read_manifest(loop.store, first.digest, 0), again=True)
    assert ask(loop, 3, 0, 3).ok
    assert counts(loop)["paid"] == 4


def test_a_teachers_labels_that_another_job_has_paid_for_cost_nothing(copper, ask):
    loop, _ = copper
    other = Loop(loop.folder, uid="uid-2")
    other.runs = 10
    done = ask(other, 4, 1)
    assert ask(loop, 2, 0).ok
    assert counts(loop)["paid"] == 2
    # with failures that are tried again, it lacks them like any other
    mark(loop.store, read_manifest(loop.store, done.digest, 1), again=True)
    assert lacking(lambda: ask(loop, 3, 1)) == 2


def test_a_teachers_labels_that_were_committed_and_not_entered_are_paid_for(copper, ask, monkeypatch):
    loop, _ = copper
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "enter", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            ask(loop, 4, 1)
    assert counts(loop)["paid"] == 0
    assert lacking(lambda: ask(loop, 3, 0)) == 4
