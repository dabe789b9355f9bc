"""Prometheus metrics of the operator: what its parts count, and what a scrape reads out of its caches."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pfd_operator.api.conditions import ConditionType, Phase
from pfd_operator.api.kinds import KINDS
from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.resources import Key, Snapshot

if TYPE_CHECKING:
    from .operator import Operator

SHORT_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
WAIT_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120)
NO_ANSWER = "none"
"""Code of a request that the API server did not answer."""
LABEL_RESULTS = ("paid", "reused", "failed", "wasted")
WHILE_THERE = "of the jobs there are: falls when a job is deleted"

LabelValues = tuple[str, ...]
"""Values of a metric's labels."""


class Metrics:
    """Counters that the parts of the operator fill, and the registry that is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Histogram(
            "pfd_reconcile_seconds",
            "Time a worker takes for one reconcile, in seconds, by outcome: ok, conflict (decided again on a newer "
            "version), gone (deleted meanwhile), refused (by the API server; retried), error (a bug; retried)",
            ["outcome"],
            buckets=SHORT_SECONDS,
            registry=self.registry,
        )
        self.queue_waits = Histogram(
            "pfd_queue_wait_seconds",
            "Time a resource waited in the queue before a worker took it, in seconds",
            buckets=WAIT_SECONDS,
            registry=self.registry,
        )
        self.api_requests = Counter(
            "pfd_api_requests",
            "Requests to the API server by verb and HTTP status code; code none: no answer. The watch of the custom "
            "resources themselves is not among them",
            ["verb", "code"],
            registry=self.registry,
        )
        self.api_request_seconds = Histogram(
            "pfd_api_request_seconds",
            "Time until the API server begins to answer, in seconds, by verb",
            ["verb"],
            buckets=SHORT_SECONDS,
            registry=self.registry,
        )
        self.lease_held = Gauge(
            "pfd_lease_held",
            "1 while this process may act: it holds the lease, or needs none; 0 while it waits",
            registry=self.registry,
        )
        self.resource_events = Counter(
            "pfd_resource_events",
            "Events of the custom resources' watch, by kind",
            ["kind"],
            registry=self.registry,
        )
        self.progress_reports = Counter(
            "pfd_progress_reports", "Progress reports of stages, by HTTP status", ["status"], registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def follow(self, operator: Operator) -> None:
        """Add the gauges that are read when asked for."""
        self.registry.register(_Gauges(operator))

    def heard(self, key: Key) -> None:
        """Count an event of a custom resource."""
        self.resource_events.labels(key.kind).inc()


class MeteredApi(KubeApi):
    """A connection whose requests are counted.

    Parameters
    ----------
    api
        The connection; it is shared, not opened a second time.
    metrics
        Where to count.
    """

    def __init__(self, api: KubeApi, metrics: Metrics) -> None:
        self.__dict__.update(vars(api))
        self._metrics = metrics

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        content_type: str,
        limit: float | aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        verb, code, started = _verb(method, query or {}), NO_ANSWER, time.monotonic()
        try:
            response = await super()._send(method, path, body, query, content_type, limit)
            code = str(response.status)
            return response
        finally:
            self._metrics.api_requests.labels(verb, code).inc()
            self._metrics.api_request_seconds.labels(verb).observe(time.monotonic() - started)


def _verb(method: str, query: Mapping[str, str]) -> str:
    """Return Kubernetes' verb of a request; only lists are asked for in pages."""
    if method == "GET":
        return "watch" if "watch" in query else "list" if "limit" in query else "get"
    return {"POST": "create", "PUT": "update"}.get(method, method.lower())


class _Gauges(Collector):
    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._queue()
        yield from self._watches()
        yield from _job_families(self._operator.store.snapshots(), datetime.now(UTC))

    def _queue(self) -> Iterator[Metric]:
        queue = self._operator.queue
        yield GaugeMetricFamily("pfd_queue_depth", "Resources waiting to be reconciled", value=len(queue))
        yield GaugeMetricFamily(
            "pfd_queue_longest_wait_seconds",
            "Longest time that a resource now waits or is worked on, in seconds",
            value=queue.longest_wait(),
        )
        yield GaugeMetricFamily(
            "pfd_queue_failing", "Resources whose last reconcile failed and is retried", value=queue.failing
        )
        yield CounterMetricFamily(
            "pfd_queue_retries", "Reconciles that failed and were put back with a wait", value=queue.retries
        )

    def _watches(self) -> Iterator[Metric]:
        silent: dict[LabelValues, float] = {}
        cached, relists, unsynced = Tally[LabelValues](), Tally[LabelValues](), Tally[LabelValues]()
        for informer in self._operator.informers:
            resource: LabelValues = (informer.path.rpartition("/")[2],)
            cached[resource] += len(informer)
            relists[resource] += informer.relists
            unsynced[resource] += not informer.synced.is_set()
            if informer.synced.is_set():
                # one that waits for the lease is silent and well
                silent[resource] = max(silent.get(resource, 0.0), informer.silent_for())
        resources = ["resource"]
        yield _family(
            "pfd_watch_silent_seconds",
            "Time since the quietest watch of a resource was last heard, in seconds",
            resources,
            silent,
        )
        yield _family("pfd_watch_unsynced", "Watches that have no first list yet", resources, unsynced)
        yield _family("pfd_watch_cached_objects", "Objects held in memory", resources, cached)
        family = CounterMetricFamily("pfd_watch_relists", "Full lists made", labels=resources)
        for key, count in relists.items():
            family.add_metric(key, count)
        yield family


def _job_families(snapshots: Iterable[Snapshot], now: datetime) -> Iterator[Metric]:
    """Count the jobs there are in one pass; no label names a job, so their number does not make more series."""
    jobs, labels = Tally[LabelValues](), Tally[LabelValues]()
    budget, gpu_seconds = Tally[LabelValues](), Tally[LabelValues]()
    conditions = _Conditions()
    failed_at: dict[LabelValues, float] = {}
    for kind in KINDS:
        # there from the start: what appears only with its first value has no increase
        labels.update({(kind, result): 0 for result in LABEL_RESULTS})
        budget[kind,] = gpu_seconds[kind,] = 0
    for snapshot in snapshots:
        kind, status = snapshot.key.kind, snapshot.raw_status
        phase = str(status.get("phase", Phase.PENDING.value))
        jobs[kind, phase, (status.get("active") or {}).get("stage", "")] += 1
        counts = status.get("labels") or {}
        for result in LABEL_RESULTS:
            labels[kind, result] += counts.get(result, 0)
        budget[kind,] += counts.get("budget", 0)
        gpu_seconds[kind,] += status.get("gpuSeconds", 0)
        if phase == Phase.FAILED and "finishedAt" in status:
            failed_at[kind,] = max(failed_at.get((kind,), 0.0), _moment(status["finishedAt"]).timestamp())
        for condition in status.get("conditions") or ():
            conditions.add(kind, phase, condition, now)
    kinds = ["kind"]
    yield _family("pfd_jobs", "Jobs by kind, phase and running stage (empty: none)", ["kind", "phase", "stage"], jobs)
    yield _family(
        "pfd_jobs_labels",
        f"Labels {WHILE_THERE}. result: paid (failed ones included), reused, failed, wasted (cut off and computed "
        "again; not in paid)",
        ["kind", "result"],
        labels,
    )
    yield _family("pfd_jobs_label_budget", f"Labels that may be paid, {WHILE_THERE}", kinds, budget)
    yield _family("pfd_jobs_gpu_seconds", f"GPU time used, in seconds, {WHILE_THERE}", kinds, gpu_seconds)
    yield _family(
        "pfd_jobs_last_failed_timestamp_seconds",
        "When the last of the failed jobs failed, in seconds since 1970; none if there is no failed job",
        kinds,
        failed_at,
    )
    yield from conditions.families()


class _Conditions:
    """Jobs by what their conditions say."""

    def __init__(self) -> None:
        self._not_progressing, self._stuck = Tally[LabelValues](), Tally[LabelValues]()
        self._stuck_seconds: dict[LabelValues, float] = {(kind,): 0.0 for kind in KINDS}

    def add(self, kind: str, phase: str, condition: Mapping[str, str], now: datetime) -> None:
        said = condition["type"], condition["status"]
        if said == (ConditionType.PROGRESSING, "False"):
            self._not_progressing[kind, phase, condition["reason"]] += 1
        elif said == (ConditionType.STUCK, "True"):
            self._stuck[kind, condition["reason"]] += 1
            seconds = (now - _moment(condition["lastTransitionTime"])).total_seconds()
            self._stuck_seconds[kind,] = max(self._stuck_seconds[kind,], seconds)

    def families(self) -> Iterator[Metric]:
        yield _family(
            "pfd_jobs_not_progressing",
            "Jobs whose condition Progressing is false, by kind, phase and reason",
            ["kind", "phase", "reason"],
            self._not_progressing,
        )
        yield _family(
            "pfd_jobs_stuck", "Jobs whose pods cannot start, by kind and reason", ["kind", "reason"], self._stuck
        )
        yield _family(
            "pfd_jobs_longest_stuck_seconds",
            "Longest time that a job's pods cannot start by now, in seconds; 0: none is stuck",
            ["kind"],
            self._stuck_seconds,
        )


def _family(name: str, text: str, labels: list[str], values: Mapping[LabelValues, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
