"""The variables that the chart gives the operator are those that it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pfd_operator.api.pods import Resources
from pfd_operator.api.stage_pods import StageDefaults, StagePods
from pfd_operator.contract.stage import StageKind
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.settings import PREFIX, RuntimeSettings, SettingsError, settings_from
from tests.chart_rendering import ROOT, notes, of_kind, refusal, render

GIVEN = {
    "namespaces": "{lab,group}",
    "images.calculators": "registry.test/pfd/calculators:1",
    "images.engines.abinit": "registry.test/pfd/abinit:9",
    "images.pullPolicy": "Always",
    "operator.workers": "3",
    "operator.logLevel": "DEBUG",
    "operator.maxCountedFailures": "5",
    "operator.stuckAfterSeconds": "77",
    "operator.pendingAfterSeconds": "7200",
    "stages.labels.cost-centre": "physics",
    "stages.annotations.note": "ours",
    "stages.environment.HTTPS_PROXY": "http://proxy:3128",
    "stages.serviceAccountName": "stages",
    "stages.smallContainerResources.limits.memory": "1Gi",
    "stages.defaults.nodeSelector.disk": "ssd",
    "stages.defaults.tolerations[0].operator": "Exists",
    "stages.defaults.runtimeClassName": "gvisor",
    "stages.defaults.resources.train.limits.cpu": "8",
}


class Environment(Mapping[str, str]):
    """Variables, and which of them were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def environment(**values: str) -> dict[str, str]:
    """Return what the operator's container is given; what only a cluster knows is the path of the field."""
    arguments = [argument for name, value in values.items() for argument in ("--set", f"{name}={value}")]
    (operator,) = (each for each in of_kind(render(*arguments), "Deployment") if each["metadata"]["name"] == "pfd")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert "envFrom" not in container and "args" not in container, "settings come by variables of their own"
    found = {
        each["name"]: each["value"] if "value" in each else each["valueFrom"]["fieldRef"]["fieldPath"]
        for each in container["env"]
    }
    assert len(found) == len(container["env"]), "a variable is given twice"
    return found


def test_the_operator_reads_every_variable() -> None:
    given = Environment(environment(**GIVEN))
    settings_from(given)
    assert [name for name in given if name not in given.asked] == []
    assert all(name.startswith(PREFIX) for name in given)


def test_every_variable_that_the_operator_needs_is_given() -> None:
    given, needed = environment(), dict[str, str]()
    while True:
        try:
            settings_from(needed)
            break
        except SettingsError as error:
            (missing,) = re.findall(rf"{PREFIX}\w+", str(error))
            assert missing not in needed
            needed[missing] = given[missing]
    assert "PFD_WORKER_IMAGE" in needed


def test_the_page_names_every_variable_without_a_value() -> None:
    variables = Environment(environment())
    settings = settings_from(variables)
    page = (ROOT / "docs/operations.md").read_text()
    named = {name: float(value) for name, value in re.findall(r"^\| `(PFD_\w+)` \| (\d+) \|", page, re.M)}
    # the ports are those of the chart's Service and probes
    assert set(named) == variables.asked - set(variables) - {"KUBECONFIG", "PFD_PROGRESS_PORT", "PFD_METRICS_PORT"}
    for name, value in named.items():
        field = name.removeprefix(PREFIX).lower()
        assert value == getattr(settings if hasattr(settings, field) else settings.planner, field)


def test_each_port_of_the_operator_is_where_the_chart_looks_for_it(tmp_path: Path) -> None:
    documents, settings = render("--set", "monitoring.serviceMonitor.enabled=true"), settings_from(environment())
    operator, service, monitor = (of_kind(documents, kind)[0] for kind in ("Deployment", "Service", "ServiceMonitor"))
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    listens = {"progress": settings.progress_port, "metrics": settings.metrics_port}
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == listens
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == listens
    assert all(port["targetPort"] == port["name"] for port in service["spec"]["ports"])
    assert str(settings.planner.progress_url).endswith(f":{settings.progress_port}")
    assert [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]] == ["metrics"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"
    assert f"service/pfd {settings.metrics_port} " in notes(tmp_path)


def test_every_value_becomes_the_setting_it_is_named_for() -> None:
    assert settings_from(environment(**GIVEN)) == RuntimeSettings(
        planner=Settings(
            worker_image="registry.test/pfd/worker:1",
            engine_images={"abinit": "registry.test/pfd/abinit:9"},
            calculator_image="registry.test/pfd/calculators:1",
            progress_url="http://pfd.pfd-system.svc:8080",
            image_pull_policy="Always",
            max_counted_failures=5,
            stuck_after_seconds=77,
            pending_after_seconds=7200,
            stage_pods=StagePods(
                labels={"cost-centre": "physics"},
                annotations={"note": "ours"},
                environment={"HTTPS_PROXY": "http://proxy:3128"},
                service_account_name="stages",
                small_container_resources=Resources(limits={"memory": "1Gi"}),
                defaults=StageDefaults(
                    node_selector={"disk": "ssd"},
                    tolerations=[{"operator": "Exists"}],
                    runtime_class_name="gvisor",
                    resources={StageKind.TRAIN: Resources(limits={"cpu": 8})},
                ),
            ),
        ),
        namespaces=("lab", "group"),
        own_namespace="metadata.namespace",
        identity="metadata.name",
        workers=3,
        lease_name="pfd",
        log_level="DEBUG",
    )


def test_defaults_of_the_chart_are_those_of_the_operator() -> None:
    given = environment()
    needed = {name: given[name] for name in ("PFD_WORKER_IMAGE", "PFD_PROGRESS_URL")}
    places = {name: given[name] for name in ("PFD_NAMESPACE", "PFD_IDENTITY", "PFD_LEASE")}
    assert settings_from(given) == settings_from(needed | places)


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("batch.kubernetes.io/job-name", "Kubernetes itself sets it on Jobs and their pods, and refuses others"),
        ("job-name", "Kubernetes itself sets it on Jobs and their pods, and refuses others"),
        ("controller-uid", "Kubernetes itself sets it on Jobs and their pods, and refuses others"),
        ("kueue.x-k8s.io/queue-name", "jobs name their queue in spec.queue"),
        ("pfd.dev/stage", "the operator finds its Jobs and pods by labels of its own"),
    ],
)
def test_a_label_that_belongs_to_another_is_refused_with_the_reason(label: str, why: str) -> None:
    place = f"at '/stages/labels/{label.replace('/', '~1')}'"
    assert f"{place}: value must be 'left out: {why}'" in refusal("--set-json", f'stages.labels={{"{label}": "x"}}')
    with pytest.raises(SettingsError, match=rf"PFD_STAGE_PODS\.labels: {label} .* leave it out: {why}$"):
        settings_from(environment() | {"PFD_STAGE_PODS": json.dumps({"labels": {label: "x"}})})


@pytest.mark.parametrize(
    "stages",
    [
        {"smallContainerResources": {"limits": {"cpu": 0.5}}},
        {"smallContainerResources": {"requests": {"memory": "2GB"}}},
        {"labels": {"cost centre": "physics"}},
        {"labels": {"team": "a b"}},
        {"annotations": {"-note": "ours"}},
        {"environment": {"1ST": "x"}},
        {"serviceAccountName": "Stages"},
        {"defaults": {"nodeSelector": {"disk": "s s d"}}},
        {"defaults": {"tolerations": [{"effect": "NoSchedule"}]}},
        {"defaults": {"tolerations": [{"kye": "batch", "operator": "Exists"}]}},
        {"defaults": {"tolerations": [{"key": "batch", "operator": "Exists", "value": "yes"}]}},
        {"defaults": {"tolerations": [{"key": "batch", "tolerationSeconds": 9, "effect": "NoSchedule"}]}},
        {"defaults": {"tolerations": [{"key": "batch", "tolerationSeconds": 9}]}},
        {"defaults": {"runtimeClassName": "GVisor"}},
        {"defaults": {"resources": {"trian": {"limits": {"cpu": 1}}}}},
        {"defaults": {"resources": {"train": {"limits": {"memory": "2GB"}}}}},
        {"defaults": {"affinity": {}}},
        {"gpuResources": ["habana.ai/"]},
    ],
)
def test_the_chart_refuses_what_the_operator_would_not_start_with(stages: dict[str, Any]) -> None:
    assert "values don't meet the specifications of the schema" in refusal("--set-json", f"stages={json.dumps(stages)}")
    with pytest.raises(SettingsError):
        settings_from(environment() | {"PFD_STAGE_PODS": json.dumps(stages)})
