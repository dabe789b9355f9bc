"""Restarts that cannot be: how they are refused, what they leave as it is, and the ways out."""

from __future__ import annotations

from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.finetune import FineTuneJobSpec
from pfd_operator.contract.stage import ExploreParams, StageKind
from tests.unit.operator.plan.plan_samples import Run, condition, created, resource, succeeded
from tests.unit.operator.plan.redone_samples import numbers, reasons, restart


@pytest.mark.parametrize(("iteration", "possible"), [(4, "from 0, 1, 2, 3 only"), (700, "from 0, 1, 2, 3 only")])
def test_an_iteration_that_cannot_be_begun_is_refused_once(iteration: int, possible: str) -> None:
    run = Run()
    run.to_the_end()
    run.edit(**restart(iteration))
    decision = run.step()
    assert reasons(run) == ["RestartRefused"]
    assert possible in decision.events[0].message
    assert decision.status.phase is Phase.CONVERGED
    assert run.step().events == ()


def test_settings_changed_with_a_refused_restart_say_how_to_get_out() -> None:
    run = Run()
    label = run.until(1, StageKind.LABEL)
    assert isinstance(run.resource.spec, FineTuneJobSpec)
    before = run.resource.spec.training.to_json()
    run.edit(training={"steps": 9000}, **restart(3))
    decision = run.step(succeeded(label))
    (refused,) = [event for event in decision.events if event.reason == "RestartRefused"]
    assert "from 0, 1 only:" in refused.message
    changed = condition(run.status, ConditionType.SPEC_CHANGED)
    for message in (refused.message, changed.message):
        assert "restore" in message and "together with a new spec.restart.id" in message
    assert decision.actions == ()
    # one way out: as it was, with a new id, though the iteration still is impossible
    stopped = run.resource, run.status
    run.edit(training=before, **restart(3, "back"))
    assert created(run.step()).spec.stage is StageKind.TRAIN
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"
    # the other: an iteration that is possible
    run.resource, run.status = stopped
    run.edit(**restart(1, "possible"))
    assert created(run.step()).spec.iteration == 1
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"


@pytest.mark.parametrize(
    ("own", "limits", "consecutive"),
    [
        ({"forceRMSE": 0.08, "consecutive": 2}, {"forceRMSE": 0.08, "consecutive": 1}, 1),
        ({"forceRMSE": 0.05, "consecutive": 2}, {"forceRMSE": 0.08, "consecutive": 2}, 0),
    ],
    ids=["end", "verdict"],
)
def test_limits_of_a_refused_restart_end_nothing_and_are_no_verdict(
    own: dict[str, Any], limits: dict[str, Any], consecutive: int
) -> None:
    run = Run(resource(convergence=own))
    train = run.until(1, StageKind.TRAIN)
    run.edit(convergence=limits, **restart(9))
    assert run.step(succeeded(train), seconds=1).actions == ()
    assert (run.status.phase, run.status.stages[-1].stage) == (Phase.RUNNING, StageKind.TRAIN)
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "True"
    run.edit(convergence=own, **restart(9, "back"))
    assert created(run.step(seconds=1)).spec.iteration == 2
    assert run.status.consecutive == consecutive


def test_a_restart_that_is_possible_follows_one_that_was_not_while_a_job_is_refused() -> None:
    """Nobody creates the Job of the stage any more, so nobody waits for it."""
    run = Run()
    run.until(1, StageKind.LABEL)
    run.edit(training={"steps": 9000}, **restart(3))
    run.step(refusal="the API server refused a child: exceeded quota: jobs")
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "True"
    run.edit(**restart(1, "possible"))
    assert created(run.step(seconds=1)).spec.iteration == 1
    assert condition(run.status, ConditionType.SPEC_CHANGED).status == "False"


def test_other_settings_from_the_next_iteration_on_wait_for_the_end_of_the_one_that_runs() -> None:
    """The recipe in docs/api.md, by stop: AfterIteration; without it the refusal names it."""
    run = Run()
    label = run.until(1, StageKind.LABEL)
    hotter = {"stages": [{"temperaturesKelvin": [300, 900, 1500]}], "pods": 2}
    before = run.resource, run.status
    run.edit(exploration=hotter, **restart(2))
    (refused,) = [event for event in run.step(succeeded(label)).events if event.reason == "RestartRefused"]
    assert "2 can be begun when iteration 1 has ended: spec.stop AfterIteration" in refused.message
    run.resource, run.status = before
    run.edit(stop="AfterIteration")
    run.step(succeeded(label), seconds=1)
    assert created(run.decision).spec.stage is StageKind.TRAIN, "the iteration that runs is finished"
    status = run.to_the_end()
    assert (status.phase, status.iteration, numbers(status)) == (Phase.CANCELLED, 1, [0, 1])
    run.edit(exploration=hotter, stop=None, **restart(status.iteration + 1, "hot"))
    explore = created(run.step(seconds=1))
    assert (explore.spec.iteration, explore.spec.stage) == (2, StageKind.EXPLORE)
    assert isinstance(explore.spec.params, ExploreParams)
    assert explore.spec.params.exploration.stages[0].temperatures_kelvin == [300, 900, 1500]
    assert run.to_the_end().phase is Phase.CONVERGED


def test_a_refused_restart_without_a_change_has_nothing_to_restore() -> None:
    run = Run()
    run.until(1, StageKind.LABEL)
    run.edit(**restart(3))
    assert "restore" not in run.step().events[0].message
