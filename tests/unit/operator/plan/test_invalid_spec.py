"""What is said of a spec that nothing can be done with."""

from __future__ import annotations

from datetime import UTC, datetime

from pfd_operator.api.conditions import Phase
from pfd_operator.api.status import Condition, FineTuneJobStatus
from pfd_operator.plan.invalid_spec import invalid_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_refusing_twice_changes_nothing() -> None:
    once = invalid_status(FineTuneJobStatus(), "spec.seed: too large", 3, NOW)
    assert {condition.reason for condition in once.conditions} == {"SpecInvalid"}
    assert once.conditions[0].message == "spec.seed: too large"
    later = NOW.replace(year=2027)
    assert invalid_status(once, "spec.seed: too large", 3, later) == once


def test_of_many_wrong_fields_the_first_and_the_last_are_named() -> None:
    words = "; ".join(f"spec.systems[{index}]: it has no structures" for index in range(100))
    (message, _) = (condition.message for condition in invalid_status(FineTuneJobStatus(), words, 3, NOW).conditions)
    assert len(message) <= 1024
    assert message.startswith("spec.systems[0]:") and "; spec.systems[99]: it has no structures" in message


def test_what_an_ended_job_came_to_stays_said_when_its_spec_is_refused() -> None:
    ready = Condition(type="Ready", status="True", reason="Converged", message="", last_transition_time=NOW)
    ended = FineTuneJobStatus(phase=Phase.CONVERGED, finished_at=NOW, conditions=[ready])
    after = invalid_status(ended, "spec.pods.train.resources: no number of GPUs", 3, NOW)
    # the generation is seen, which tells that an Event was emitted
    assert (after.conditions, after.observed_generation) == ([ready], 3)
