"""Settings from the environment."""

from __future__ import annotations

import json

import pytest

from pfd_operator.api.pods import Resources
from pfd_operator.api.stage_pods import StagePods
from pfd_operator.runtime.settings import SettingsError, settings_from


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


def test_an_engine_whose_image_was_taken_away_has_none() -> None:
    """A job that labels by it says so before it starts."""
    settings = settings_from({"PFD_WORKER_IMAGE": "worker:1", "PFD_ENGINE_IMAGES": '{"abinit": "", "program": null}'})
    assert settings.planner.engine_images == {}


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
