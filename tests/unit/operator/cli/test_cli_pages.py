"""What `kubectl pfd` prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pfd_operator.api.conditions import ConditionType, OperatorReason, Phase
from pfd_operator.api.status import (
    ActiveStage,
    ActiveState,
    Condition,
    DistillJobStatus,
    FineTuneJobStatus,
    IterationRecord,
    JudgedErrors,
    Labels,
    ModelRecord,
    StageRecord,
)
from pfd_operator.cli.main import main
from pfd_operator.cli.status import status_page
from pfd_operator.cli.tables import duration, table
from pfd_operator.contract.stage import StageKind
from pfd_operator.kube.resources import Key

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def errors(force: str) -> JudgedErrors:
    return JudgedErrors(force_rmse=force, energy_rmse_per_atom="0.0021", frames=16)


def test_page_of_a_running_job() -> None:
    status = FineTuneJobStatus(
        phase=Phase.RUNNING,
        started_at=NOW - timedelta(minutes=12),
        labels=Labels(paid=24, budget=60, reused=2),
        baselines={"pretrained": errors("0.4100")},
        label_noise=errors("0.0310"),
        iterations=[IterationRecord(iteration=0, labels=24, holdout=errors("0.0912"))],
        stages=[StageRecord(iteration=0, stage=StageKind.TRAIN, digest="d", attempts=1, seconds=95)],
        active=ActiveStage(
            iteration=1,
            stage=StageKind.EXPLORE,
            job_name="j",
            digest="d",
            completions=4,
            succeeded_indexes=1,
            state=ActiveState.CREATED,
            intended_at=NOW - timedelta(seconds=30),
            started_at=NOW - timedelta(seconds=25),
            percent=40,
            message="900 K",
        ),
    )
    lines = status_page(Key("FineTuneJob", "lab", "silicon"), status, NOW).splitlines()
    assert lines[:3] == [
        "FineTuneJob lab/silicon: Running",
        "labels: 24 of 60 paid, 2 reused, 0 failed, 0 wasted",
        "time: 12 min 00 s",
    ]
    page = "\n".join(" ".join(line.split()) for line in lines)
    assert "ERRORS AGAINST REFERENCE LABELS" in page
    assert "pretrained (baseline) - 0.4100 - 0.0021 - 16 -" in page
    assert "labels (noise) - 0.0310 - 0.0021 - 16 -" in page
    assert "iteration 0, hold-out 24 0.0912 - 0.0021 - 16 not met" in page
    assert "0 train done 1 min 35 s 1 -" in page
    assert "1 explore running 30 s 1 1/4 pods 40 % 900 K" in page


def test_a_student_is_shown_against_its_teacher_and_with_it_against_the_reference() -> None:
    status = DistillJobStatus(
        iterations=[IterationRecord(iteration=2, labels=352, holdout=errors("0.0303"), met=True)],
        dft={"teacher": errors("0.0533"), "student": errors("0.0651")},
    )
    page = status_page(Key("DistillJob", "lab", "silicon-light"), status, NOW)
    _, student, reference = (part.splitlines() for part in page.split("\n\n"))
    assert student[0].startswith("ERRORS AGAINST TEACHER  LABELS")
    assert student[1].split()[:5] == ["iteration", "2,", "hold-out", "352", "0.0303"]
    assert reference[0].startswith("ERRORS AGAINST REFERENCE  LABELS")
    assert [line.split()[:3] for line in reference[1:]] == [["teacher", "-", "0.0533"], ["student", "-", "0.0651"]]
    unjudged = status.model_copy(update={"dft": {}})
    assert "REFERENCE" not in status_page(Key("DistillJob", "lab", "silicon-light"), unjudged, NOW)


def hours_ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "time: 10 h 00 min"),
        ({"suspended_seconds": 7200}, "time: 8 h 00 min, not counted (suspended, queued or ended): 2 h 00 min"),
        # what goes on now is in no sum yet
        ({"suspended_at": hours_ago(3)}, "time: 7 h 00 min, not counted (suspended, queued or ended): 3 h 00 min"),
        (
            {"suspended_at": hours_ago(3), "suspended_seconds": 7200},
            "time: 5 h 00 min, not counted (suspended, queued or ended): 5 h 00 min",
        ),
        (
            {"finished_at": hours_ago(4), "suspended_seconds": 7200},
            "time: 4 h 00 min, not counted (suspended, queued or ended): 2 h 00 min",
        ),
        ({"finished_at": hours_ago(4)}, "time: 6 h 00 min"),
    ],
)
def test_the_time_is_what_the_deadline_counts(fields: dict[str, Any], said: str) -> None:
    status = FineTuneJobStatus(started_at=hours_ago(10), **fields)
    assert status_page(Key("FineTuneJob", "lab", "silicon"), status, NOW).splitlines()[2:] == [said]


QUEUED = Condition(
    type=ConditionType.PROGRESSING.value, status="False", reason=OperatorReason.QUEUED.value, last_transition_time=NOW
)
STUCK = Condition(
    type=ConditionType.STUCK.value, status="True", reason=OperatorReason.UNSCHEDULABLE.value, last_transition_time=NOW
)
AT_TEN = NOW.replace(second=10)
STARTED: dict[str, Any] = {"state": ActiveState.CREATED, "started_at": NOW}
STOPPED: dict[str, Any] = {"state": ActiveState.BACKOFF, "started_at": NOW}


@pytest.mark.parametrize(
    ("phase", "active", "conditions", "state"),
    [
        (Phase.RUNNING, {"state": ActiveState.INTENDED}, [], "pending"),
        (Phase.RUNNING, {"state": ActiveState.CREATED}, [], "pending"),
        (Phase.RUNNING, {"state": ActiveState.CREATED}, [QUEUED], "queued"),
        (Phase.RUNNING, STARTED, [], "running"),
        # preempted by its queue, evicted: they had started before
        (Phase.RUNNING, STARTED, [QUEUED], "queued"),
        (Phase.RUNNING, STARTED, [STUCK], "pending"),
        (Phase.RUNNING, {**STOPPED, "not_before": AT_TEN}, [], "waiting until 12:00:10 UTC"),
        (Phase.RUNNING, STOPPED, [], "waiting"),
        (Phase.SUSPENDED, STOPPED, [], "suspended"),
        (Phase.SUSPENDED, {"state": ActiveState.INTENDED}, [], "suspended"),
        (Phase.CANCELLED, STOPPED, [], "cancelled"),
        (Phase.BUDGET_EXHAUSTED, STOPPED, [], "stopped"),
    ],
)
def test_the_state_of_a_stage(phase: Phase, active: dict[str, Any], conditions: list[Condition], state: str) -> None:
    stage = ActiveStage(iteration=1, stage=StageKind.TRAIN, job_name="j", digest="d", intended_at=NOW, **active)
    status = FineTuneJobStatus(phase=phase, active=stage, conditions=conditions)
    page = status_page(Key("FineTuneJob", "lab", "silicon"), status, NOW)
    assert f"1 train {state} 0 s 1 -" in " ".join(page.split())


def test_attempts_are_counted_alike_in_all_rows() -> None:
    """Since the last restart, in whatever way the earlier ones ended."""
    status = FineTuneJobStatus(
        phase=Phase.RUNNING,
        first_attempt=4,
        stages=[StageRecord(iteration=1, stage=StageKind.LABEL, digest="d", attempts=2, seconds=95)],
        active=ActiveStage(
            iteration=1, stage=StageKind.TRAIN, attempt=5, counted_failures=0, job_name="j", digest="d", intended_at=NOW
        ),
    )
    page = " ".join(status_page(Key("FineTuneJob", "lab", "silicon"), status, NOW).split())
    assert "1 label done 1 min 35 s 2 -" in page
    assert "1 train pending 0 s 2 -" in page


def test_the_time_of_a_stage_ends_with_its_job() -> None:
    active = ActiveStage(iteration=1, stage=StageKind.TRAIN, job_name="j", digest="d", intended_at=NOW)
    status = FineTuneJobStatus(phase=Phase.CANCELLED, active=active, finished_at=NOW + timedelta(seconds=7))
    page = status_page(Key("FineTuneJob", "lab", "silicon"), status, NOW + timedelta(days=1))
    assert "1 train cancelled 7 s 1 -" in " ".join(page.split())


def test_noise_of_too_few_frames_has_no_energy() -> None:
    noise = errors("0.0310").model_copy(update={"energy_rmse_per_atom": None})
    page = status_page(Key("FineTuneJob", "lab", "silicon"), FineTuneJobStatus(label_noise=noise), NOW)
    assert "labels (noise) - 0.0310 - not known - 16 -" in " ".join(page.split())


def test_page_of_a_new_job() -> None:
    page = status_page(Key("FineTuneJob", "lab", "silicon"), FineTuneJobStatus(), NOW)
    assert page == "FineTuneJob lab/silicon: Pending\nlabels: 0 of 0 paid, 0 reused, 0 failed, 0 wasted\n"


def test_a_model_that_no_training_beat_is_called_so() -> None:
    record = ModelRecord(uri="s3://pfd/silicon/best.pt", iteration=0, fine_tuned=False)
    page = status_page(Key("FineTuneJob", "lab", "silicon"), FineTuneJobStatus(model=record), NOW)
    assert "best model: s3://pfd/silicon/best.pt (pre-trained, energy shifted; no training beat it)\n" in page
    page = status_page(
        Key("FineTuneJob", "lab", "silicon"),
        FineTuneJobStatus(model=record.model_copy(update={"fine_tuned": True})),
        NOW,
    )
    assert "(iteration 0)" in page


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (187, "3 min 07 s"), (7500, "2 h 05 min")]
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_tables_are_aligned() -> None:
    assert table(("A", "LONGER"), [("value", ""), ("x", "y")]) == "A      LONGER\nvalue  -\nx      y"


@pytest.mark.parametrize(
    "written", ["\x1b]52;c;cm0K\x07", "\x1b[2J", "all\r\nFineTuneJob lab fine", "\u202egpj", "\x9b2J"]
)
def test_what_jobs_and_images_say_does_nothing_to_a_terminal(written: str) -> None:
    model = ModelRecord(uri=f"s3://pfd/{written}", iteration=1, errors=errors("0.0912"))
    said = Condition(type="Ready", status="False", reason="R", message=written, last_transition_time=NOW)
    status = FineTuneJobStatus(model=model, conditions=[said])
    plain = status.model_copy(
        update={"model": model.model_copy(update={"uri": ""}), "conditions": [said.model_copy(update={"message": ""})]}
    )
    page, lines = (status_page(Key("FineTuneJob", "lab", "silicon"), each, NOW) for each in (status, plain))
    assert written not in page and page.replace("\n", "").isprintable()
    assert len(page.splitlines()) == len(lines.splitlines())
    assert table(("MESSAGE",), [[written]]).splitlines()[1] == written.encode("unicode_escape").decode()
    assert table(("MESSAGE",), [["0.1 eV/Å, 12 °"]]).endswith("0.1 eV/Å, 12 °")


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "kubectl pfd status silicon -w" in capsys.readouterr().out
