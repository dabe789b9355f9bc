"""Scrape, alerts and dashboard: off unless asked for, and about metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from pfd_operator.api.conditions import Phase
from pfd_operator.kube.api import KubeApi
from pfd_operator.plan.types import Settings
from pfd_operator.runtime.operator import Operator
from pfd_operator.runtime.settings import RuntimeSettings
from pfd_operator.runtime.work import Outcome
from tests.chart_rendering import ROOT, of_kind, refusal, render

ALL = "monitoring.serviceMonitor.enabled=true,monitoring.rules.enabled=true,monitoring.dashboard.enabled=true"
TARGET_LABELS = {"job", "namespace", "instance", "pod", "service"}
SELECTOR = re.compile(r"([a-zA-Z_]\w*)\{([^}]*)\}")
CONDITIONS = [
    {"type": "Progressing", "status": "False", "reason": "Unschedulable", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    {"type": "Stuck", "status": "True", "reason": "Unschedulable", "lastTransitionTime": "2026-01-01T00:00:00Z"},
]


def labels_by_metric(operator: Operator) -> dict[str, set[str]]:
    """Return the labels of each sample name that a scrape can give."""
    metrics = operator.metrics
    metrics.reconciles.labels("ok").observe(1)
    metrics.api_requests.labels("get", "200").inc()
    metrics.api_request_seconds.labels("get").observe(1)
    metrics.progress_reports.labels("204").inc()
    found: dict[str, set[str]] = {"up": set()}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
async def known(tmp_path: Path) -> dict[str, set[str]]:
    path = tmp_path / "kubeconfig"
    path.write_text(
        """{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}"""
    )
    settings = RuntimeSettings(planner=Settings(worker_image="worker", engine_images={}), namespaces=("lab",))
    operator = Operator(await KubeApi.connect(path), settings, lambda: None)
    metadata = {"namespace": "lab", "name": "silicon", "uid": "u", "resourceVersion": "1"}
    status = {"phase": "Failed", "finishedAt": "2026-01-01T00:00:00Z", "conditions": CONDITIONS}
    operator.resource_changed({"kind": "FineTuneJob", "metadata": metadata, "status": status}, deleted=False)
    for informer in operator.informers:
        informer.synced.set()
    found = labels_by_metric(operator)
    await operator.api.close()
    return found


def rules(*arguments: str) -> list[dict[str, Any]]:
    (resource,) = of_kind(render("--set", ALL, *arguments), "PrometheusRule")
    return [rule for group in resource["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    (config_map,) = of_kind(render("--set", ALL), "ConfigMap")
    return dict(json.loads(config_map["data"]["pfd-operator.json"]))


def expressions() -> Iterator[tuple[str, str]]:
    for rule in rules():
        yield rule["alert"], rule["expr"]
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_nothing_unless_asked_for() -> None:
    assert not {"ServiceMonitor", "PrometheusRule", "ConfigMap"} & {document["kind"] for document in render()}


def test_alerts_and_dashboard_are_about_metrics_and_labels_that_there_are(known: dict[str, set[str]]) -> None:
    seen = set()
    for title, expression in expressions():
        selectors = SELECTOR.findall(expression)
        assert selectors, title
        labels = set()
        for metric, matchers in selectors:
            assert metric in known, f"{title}: there is no metric {metric}"
            used = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
            assert used <= known[metric] | TARGET_LABELS, f"{title}: {metric} has no label {used - known[metric]}"
            assert {"job", "namespace"} <= used, f"{title}: {metric} of every release"
            labels |= known[metric]
            seen.add(metric)
        grouped = {name.strip() for names in re.findall(r"\bby \(([^)]*)\)", expression) for name in names.split(",")}
        assert grouped <= labels, f"{title}: grouped by {grouped - labels}"
        assert not re.search(r"\b(pfd|process)_\w+", SELECTOR.sub("", expression)), (
            f"{title}: a metric without selector"
        )
    ours = {name for name in known if name.startswith("pfd_") and not name.endswith(("_bucket", "_created", "_sum"))}
    # shown by their buckets, or by pfd_jobs, of which it is a part
    unused = ours - seen - {"pfd_api_request_seconds_count", "pfd_queue_wait_seconds_count"}
    for_bills = {"pfd_namespace_gpu_seconds", "pfd_namespace_labels_paid"}
    assert unused <= {"pfd_jobs_stuck", "pfd_jobs_last_failed_timestamp_seconds"} | for_bills, unused


def test_outcomes_in_expressions_are_those_of_the_operator() -> None:
    named = {value for _, expression in expressions() for value in re.findall(r'outcome="(\w+)"', expression)}
    assert named
    assert named <= set(get_args(Outcome))


def test_legends_name_labels_of_their_metrics(known: dict[str, set[str]]) -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= set().union(*(known[metric] for metric, _ in SELECTOR.findall(target["expr"])))


def test_the_panel_of_paused_jobs_leaves_out_exactly_the_terminal_phases() -> None:
    (panel,) = (panel for panel in dashboard()["panels"] if panel["title"] == "Jobs that do not progress")
    (left_out,) = re.findall(r'phase!~"([^"]*)"', panel["targets"][0]["expr"])
    assert set(left_out.split("|")) == {phase.value for phase in Phase if phase.terminal}


def test_every_alert_has_a_runbook_at_its_anchor() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    anchors = {heading.lower() for heading in re.findall(r"^### (\w+)$", page, re.M)}
    alerts = {rule["alert"] for rule in rules()}
    assert alerts
    assert anchors == {alert.lower() for alert in alerts}
    page_url = "https://wiki.example.org/pfd"
    for rule in rules("--set", f"monitoring.rules.runbookUrl={page_url}"):
        assert rule["annotations"]["runbook_url"] == f"{page_url}#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in {"warning", "critical"}


def test_an_alert_has_no_link_that_leads_nowhere() -> None:
    assert not [rule["alert"] for rule in rules() if "runbook_url" in rule["annotations"]]


def test_every_alert_says_of_which_release_it_is() -> None:
    """An aggregate has no labels but those it is grouped by; routes of a namespace match by `namespace`."""
    for rule in rules():
        assert (rule["labels"]["namespace"], rule["labels"]["job"]) == ("pfd-system", "pfd"), rule["alert"]
        # of a rule's and an expression's label of one name the rule's would win
        grouped = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
        assert not {"namespace", "job", "severity"} & {name.strip() for names in grouped for name in names.split(",")}


def test_the_page_describes_every_metric(known: dict[str, set[str]]) -> None:
    page = (ROOT / "docs/observability.md").read_text()
    described = set(re.findall(r"^\| `(pfd_\w+)`", page, re.M))
    names = {name for name in known if name.startswith("pfd_") and not name.endswith("_created")}
    assert described == {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def test_alerts_come_before_the_operator_acts_by_itself() -> None:
    settings = RuntimeSettings(planner=Settings(worker_image="worker", engine_images={}))
    limits = {rule["alert"]: float(rule["expr"].rpartition(">")[2]) for rule in rules() if "> " in rule["expr"]}
    assert limits["PfdWatchSilent"] < settings.watch_silence_seconds
    assert limits["PfdQueueStuck"] < settings.stuck_queue_seconds
    assert limits["PfdJobStuck"] < settings.planner.stuck_after_seconds
    assert "must be less than" in refusal("--set", ALL, "--set", "monitoring.rules.stuckSeconds=900")


def test_the_monitor_scrapes_the_operators_port_and_gives_the_labels_the_rules_select_by() -> None:
    documents = render("--set", ALL, "--set", "s3.enabled=true")
    (monitor,) = of_kind(documents, "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    scraped = [
        service
        for service in of_kind(documents, "Service")
        if wanted <= service["metadata"]["labels"].items()
        and endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ]
    assert [service["metadata"]["name"] for service in scraped] == ["pfd"]
    job = scraped[0]["metadata"]["labels"][monitor["spec"]["jobLabel"]]
    for rule in rules():
        assert f'job="{job}",namespace="pfd-system"' in rule["expr"]


def test_labels_for_prometheus_and_grafana() -> None:
    labels = "monitoring.serviceMonitor.labels.release=prom,monitoring.rules.labels.release=prom"
    documents = render("--set", ALL, "--set", labels, "--set", "monitoring.dashboard.namespace=grafana")
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert of_kind(documents, kind)[0]["metadata"]["labels"]["release"] == "prom"
    metadata = of_kind(documents, "ConfigMap")[0]["metadata"]
    assert (metadata["namespace"], metadata["labels"]["grafana_dashboard"]) == ("grafana", "1")


def test_panels_have_their_own_place_and_number() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places, panel["title"]
        assert max(x for x, _ in cells) < 24
        places |= cells
