"""Settings, progress, logs and refusals."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import pytest

from pfd_operator.api.conditions import Phase
from pfd_operator.api.pods import Resources
from pfd_operator.api.stage_pods import StagePods
from pfd_operator.api.status import Condition, FineTuneJobStatus
from pfd_operator.contract.result import Progress
from pfd_operator.kube.resources import Key
from pfd_operator.plan.invalid_spec import invalid_status
from pfd_operator.runtime.logs import JsonFormatter, about
from pfd_operator.runtime.progress import ProgressBoard
from pfd_operator.runtime.settings import SettingsError, settings_from

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SILICON = Key("FineTuneJob", "lab", "silicon")


def test_settings_from_the_environment() -> None:
    settings = settings_from(
        {
            "PFD_WORKER_IMAGE": "worker:1",
            "PFD_ENGINE_IMAGES": '{"abinit": "abinit:9"}',
            "PFD_NAMESPACES": "lab, group",
            "PFD_INDEX_RETRIES": "5",
        }
    )
    assert settings.planner.worker_image == "worker:1"
    assert settings.planner.engine_images == {"abinit": "abinit:9"}
    assert settings.planner.index_retries == 5
    assert settings.planner.stuck_after_seconds == 900
    assert settings.namespaces == ("lab", "group")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PFD_WORKER_IMAGE", "", "PFD_WORKER_IMAGE is not set"),
        ("PFD_ENGINE_IMAGES", "abinit", "PFD_ENGINE_IMAGES must be JSON"),
        ("PFD_ENGINE_IMAGES", '["abinit"]', "PFD_ENGINE_IMAGES must be JSON"),
        ("PFD_METRICS_PORT", "http", "PFD_METRICS_PORT must be a number"),
        ("PFD_STAGE_PODS", "proxy", r"^PFD_STAGE_PODS: Invalid JSON"),
        ("PFD_STAGE_PODS", "[]", r"^PFD_STAGE_PODS: "),
        ("PFD_STAGE_PODS", '{"label": {}}', r"^PFD_STAGE_PODS\.label: "),
        ("PFD_STAGE_PODS", '{"environment": {"A": 1}}', r"^PFD_STAGE_PODS\.environment\.A: .*valid string"),
        ("PFD_STAGE_PODS", '{"serviceAccountName": ""}', r"^PFD_STAGE_PODS\.serviceAccountName: "),
        (
            "PFD_STAGE_PODS",
            '{"smallContainerResources": {"limits": {"nvidia.com/gpu": 1}}}',
            r"^PFD_STAGE_PODS\.smallContainerResources: limits name GPUs",
        ),
        (
            "PFD_STAGE_PODS",
            '{"gpuResources": ["habana.ai/gaudi"], "smallContainerResources": {"limits": {"habana.ai/gaudi": 1}}}',
            r"^PFD_STAGE_PODS\.smallContainerResources: limits name GPUs",
        ),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_from({"PFD_WORKER_IMAGE": "worker:1", name: value})


def test_what_every_stage_pod_is_given() -> None:
    given = {
        "labels": {"team": "atoms"},
        "annotations": {"sidecar.istio.io/inject": "false"},
        "environment": {"HTTPS_PROXY": "http://proxy:3128"},
        "serviceAccountName": "pfd-stages",
        "smallContainerResources": {"limits": {"memory": "256Mi", "cpu": 1}},
    }
    settings = settings_from({"PFD_WORKER_IMAGE": "worker:1", "PFD_STAGE_PODS": json.dumps(given)})
    assert settings.planner.stage_pods == StagePods(
        labels={"team": "atoms"},
        annotations={"sidecar.istio.io/inject": "false"},
        environment={"HTTPS_PROXY": "http://proxy:3128"},
        service_account_name="pfd-stages",
        small_container_resources=Resources(limits={"memory": "256Mi", "cpu": 1}),
    )
    assert settings_from({"PFD_WORKER_IMAGE": "worker:1"}).planner.stage_pods == StagePods()


def test_progress_is_shown_at_intervals() -> None:
    board = ProgressBoard(interval_seconds=60)
    first, second = Progress(percent=1), Progress(percent=2)
    assert board.report(SILICON, "job", first) == 0
    assert board.shown(SILICON, "job") == first
    assert board.due_in(SILICON, "job") is None
    assert 50 < board.report(SILICON, "job", second) <= 60
    assert board.shown(SILICON, "job") == first
    due = board.due_in(SILICON, "job")
    assert due is not None and 50 < due <= 60
    assert board.due_in(SILICON, "next") is None


def test_progress_of_the_latest_report() -> None:
    board = ProgressBoard(interval_seconds=0)
    for percent in (1, 2, 3):
        board.report(SILICON, "job", Progress(percent=percent))
    shown = board.shown(SILICON, "job")
    assert shown is not None and shown.percent == 3


@pytest.mark.parametrize("active", ["next", None])
def test_progress_of_a_job_is_forgotten_with_the_next_one(active: str | None) -> None:
    board = ProgressBoard()
    board.report(SILICON, "job", Progress(percent=90))
    assert board.shown(SILICON, active) is None
    assert len(board) == 0


def test_a_report_of_the_next_job_is_shown_at_once() -> None:
    board = ProgressBoard(interval_seconds=60)
    for job in ("job", "next"):
        assert board.report(SILICON, job, Progress(percent=1)) == 0
        assert board.shown(SILICON, job) is not None
    assert len(board) == 1


def test_log_lines_say_what_they_are_about() -> None:
    record = logging.LogRecord("pfd_operator.x", logging.INFO, "", 1, "started %s", ("train",), None)
    with about(job="lab/silicon"), about(iteration=2, stage="train"):
        line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "started train"
    assert (line["job"], line["iteration"], line["stage"]) == ("lab/silicon", 2, "train")
    assert "job" not in json.loads(JsonFormatter().format(record))


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
