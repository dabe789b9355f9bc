"""Gauges of the jobs there are, read out of the operator's cache at a scrape."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from pfd_operator.api.conditions import ConditionType
from pfd_operator.api.kinds import KINDS
from pfd_operator.kube.figures import ConditionFigure, JobFigures, LabelNumbers

WHILE_THERE = "of the jobs there are: falls when a job is deleted"

LabelValues = tuple[str, ...]
"""Values of a metric's labels."""


def gauge_family(name: str, text: str, labels: list[str], values: Mapping[LabelValues, float]) -> GaugeMetricFamily:
    """Return a gauge with one value for each combination of labels."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def job_families(figures: Iterable[JobFigures], now: datetime) -> Iterator[Metric]:
    """Count the jobs there are in one pass; no label names a job, so only namespaces make more series."""
    jobs, labels = Tally[LabelValues](), Tally[LabelValues]()
    budget = Tally[LabelValues]()
    gpu_seconds: dict[LabelValues, float] = {(kind,): 0.0 for kind in KINDS}
    usage = _Usage()
    conditions = _Conditions(now)
    failed_at: dict[LabelValues, float] = {}
    for kind in KINDS:
        # there from the start: what appears only with its first value has no increase
        labels.update({(kind, result): 0 for result in LabelNumbers._fields})
        budget[kind,] = 0
    for job in figures:
        kind = job.kind
        jobs[kind, job.phase, job.stage] += 1
        for result, count in job.labels._asdict().items():
            labels[kind, result] += count
        budget[kind,] += job.label_budget
        gpu_seconds[kind,] += job.gpu_seconds
        usage.add(job)
        if job.failed_at is not None:
            failed_at[kind,] = max(failed_at.get((kind,), 0.0), job.failed_at)
        for condition in job.conditions:
            conditions.add(kind, job.phase, condition)
    kinds = ["kind"]
    yield gauge_family(
        "pfd_jobs", "Jobs by kind, phase and running stage (empty: none)", ["kind", "phase", "stage"], jobs
    )
    yield gauge_family(
        "pfd_jobs_labels",
        f"Labels {WHILE_THERE}. result: paid (failed ones included), reused, failed, wasted (cut off and computed "
        "again; not in paid)",
        ["kind", "result"],
        labels,
    )
    yield gauge_family("pfd_jobs_label_budget", f"Labels that may be paid, {WHILE_THERE}", kinds, budget)
    yield gauge_family("pfd_jobs_gpu_seconds", f"GPU time used, in seconds, {WHILE_THERE}", kinds, gpu_seconds)
    yield gauge_family(
        "pfd_jobs_last_failed_timestamp_seconds",
        "When the last of the failed jobs failed, in seconds since 1970; none if there is no failed job",
        kinds,
        failed_at,
    )
    yield from usage.families()
    yield from conditions.families()


class _Usage:
    """What the jobs of each namespace have cost: whom to ask, or to bill."""

    def __init__(self) -> None:
        self._gpu_seconds, self._paid = Tally[LabelValues](), Tally[LabelValues]()

    def add(self, job: JobFigures) -> None:
        self._gpu_seconds[job.namespace,] += round(job.gpu_seconds)
        self._paid[job.namespace,] += job.labels.paid

    def families(self) -> Iterator[Metric]:
        # "namespace" is the operator's own, as Prometheus finds it
        names = ["job_namespace"]
        yield gauge_family(
            "pfd_namespace_gpu_seconds", f"GPU time used, in seconds, {WHILE_THERE}", names, self._gpu_seconds
        )
        yield gauge_family("pfd_namespace_labels_paid", f"Labels paid for, {WHILE_THERE}", names, self._paid)


class _Conditions:
    """Jobs by what their conditions say."""

    def __init__(self, now: datetime) -> None:
        self._now = now.timestamp()
        self._not_progressing, self._stuck = Tally[LabelValues](), Tally[LabelValues]()
        self._stuck_seconds: dict[LabelValues, float] = {(kind,): 0.0 for kind in KINDS}

    def add(self, kind: str, phase: str, condition: ConditionFigure) -> None:
        said = condition.type, condition.status
        if said == (ConditionType.PROGRESSING, "False"):
            self._not_progressing[kind, phase, condition.reason] += 1
        elif said == (ConditionType.STUCK, "True"):
            self._stuck[kind, condition.reason] += 1
            self._stuck_seconds[kind,] = max(self._stuck_seconds[kind,], self._now - condition.since)

    def families(self) -> Iterator[Metric]:
        yield gauge_family(
            "pfd_jobs_not_progressing",
            "Jobs whose condition Progressing is false, by kind, phase and reason",
            ["kind", "phase", "reason"],
            self._not_progressing,
        )
        yield gauge_family(
            "pfd_jobs_stuck",
            "Jobs whose pods cannot start, whose Job is refused, or whose store does not answer, by kind and reason",
            ["kind", "reason"],
            self._stuck,
        )
        yield gauge_family(
            "pfd_jobs_longest_stuck_seconds",
            "Longest time for which a job has been stuck by now, in seconds; 0: none is stuck",
            ["kind"],
            self._stuck_seconds,
        )
