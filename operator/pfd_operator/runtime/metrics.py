"""Prometheus metrics of the operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from .operator import Operator


class Metrics:
    """Counters that the workers fill."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Histogram(
            "pfd_reconcile_seconds",
            "Duration of a reconcile, by outcome",
            ["outcome"],
            buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
            registry=self.registry,
        )
        self.progress_reports = Counter(
            "pfd_progress_reports", "Progress reports of stages, by HTTP status", ["status"], registry=self.registry
        )

    def follow(self, operator: Operator) -> None:
        """Add the gauges that are read when asked for."""
        self.registry.register(_Gauges(operator))


class _Gauges(Collector):
    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        operator = self._operator
        yield GaugeMetricFamily("pfd_queue_depth", "Resources waiting to be reconciled", value=len(operator.queue))
        wait = operator.queue.longest_wait()
        yield GaugeMetricFamily("pfd_queue_longest_wait_seconds", "Age of the oldest entry of the queue", value=wait)
        phases = GaugeMetricFamily("pfd_finetunejobs", "FineTuneJobs by phase", labels=["phase"])
        for phase, count in operator.store.phases().items():
            phases.add_metric([phase], count)
        yield phases
        silence = GaugeMetricFamily("pfd_watch_silent_seconds", "Time since a watch was last heard", labels=["path"])
        cached = GaugeMetricFamily("pfd_cached_objects", "Objects held by an informer", labels=["path"])
        relists = GaugeMetricFamily("pfd_watch_relists", "Full lists made by an informer", labels=["path"])
        for informer in operator.informers:
            silence.add_metric([informer.path], informer.silent_for())
            cached.add_metric([informer.path], len(informer))
            relists.add_metric([informer.path], informer.relists)
        yield from (silence, cached, relists)
