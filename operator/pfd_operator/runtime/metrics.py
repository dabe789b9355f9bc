"""Prometheus metrics of the operator: what its parts count, and what a scrape reads out of its caches."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from .job_metrics import LabelValues, gauge_family, job_families

if TYPE_CHECKING:
    from .operator import Operator

SHORT_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
WAIT_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120)
NO_ANSWER = "none"
"""Code of a request that the API server did not answer."""


class Metrics:
    """Counters that the parts of the operator fill, and the registry that is scraped."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Histogram(
            "pfd_reconcile_seconds",
            "Time a worker takes for one reconcile, in seconds, by outcome: ok, conflict (decided again on a newer "
            "version), gone (deleted meanwhile), refused (by the API server, or because a child's name is taken, "
            "or the status cannot be read; retried), error (a bug; retried)",
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
        self.namespace_refused = Gauge(
            "pfd_namespace_refused",
            "1 for a namespace that is to be served and that the API server refuses, 0 for one that is served",
            ["name"],
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
        self.registry.register(_JobGauges(operator))

    def named(self, samples: Sequence[str]) -> Collector:
        """Return what collects these samples only, all if none is named; the others are not even computed."""
        return self.registry.restricted_registry(samples) if samples else self.registry

    def request_trace(self) -> aiohttp.TraceConfig:
        """Return what counts the requests of a connection to the API server."""
        return _trace(self.api_requests, self.api_request_seconds)


def _trace(requests: Counter, seconds: Histogram) -> aiohttp.TraceConfig:
    """Count requests and time them: aiohttp calls these when the answer begins, or when none comes."""

    async def begin(session: object, context: SimpleNamespace, request: aiohttp.TraceRequestStartParams) -> None:
        context.started = time.monotonic()

    async def end(
        session: object,
        context: SimpleNamespace,
        request: aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams,
    ) -> None:
        verb = _verb(request.method, request.url.query)
        code = str(request.response.status) if isinstance(request, aiohttp.TraceRequestEndParams) else NO_ANSWER
        requests.labels(verb, code).inc()
        seconds.labels(verb).observe(time.monotonic() - context.started)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(begin)
    trace.on_request_end.append(end)
    trace.on_request_exception.append(end)
    return trace


def _verb(method: str, query: Mapping[str, str]) -> str:
    """Return Kubernetes' verb of a request; only lists are asked for in pages."""
    if method == "GET":
        return "watch" if "watch" in query else "list" if "limit" in query else "get"
    return {"POST": "create", "PUT": "update"}.get(method, method.lower())


class _JobGauges(Collector):
    """Those of the jobs there are: one pass over all of them."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def describe(self) -> Iterator[Metric]:
        return job_families((), self._operator.api.now())

    def collect(self) -> Iterator[Metric]:
        return job_families(self._operator.store.figures(), self._operator.api.now())


class _Gauges(Collector):
    """Those of the operator's own parts."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def describe(self) -> Iterator[Metric]:
        return self.collect()

    def collect(self) -> Iterator[Metric]:
        yield from self._queue()
        yield from self._watches()

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
        yield gauge_family(
            "pfd_watch_silent_seconds",
            "Time since the quietest watch of a resource was last heard, in seconds",
            resources,
            silent,
        )
        yield gauge_family("pfd_watch_unsynced", "Watches that have no first list yet", resources, unsynced)
        yield gauge_family("pfd_watch_cached_objects", "Objects held in memory", resources, cached)
        family = CounterMetricFamily("pfd_watch_relists", "Full lists made", labels=resources)
        for key, count in relists.items():
            family.add_metric(key, count)
        yield family
