"""The results against what was asked for, and against what was measured on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    value: Callable[[Mapping[str, Any]], float]
    aim: float
    peer: float | None = None
    peer_name: str = ""


def lines(burst: int, iterations: int) -> list[Line]:
    """Return what is compared; peers' values with where they were measured are in docs/benchmarks/operator.md."""
    return [
        Line(
            "pod done to next Job, idle, p50, ms", lambda r: r["gap_ms"]["idle"]["p50"], 50, 10, "bare watcher (floor)"
        ),
        Line("pod done to next Job, idle, p95, ms", lambda r: r["gap_ms"]["idle"]["p95"], 50, 1000, "Argo 3.6 tuned"),
        Line(
            f"pod done to next Job, burst of {burst}, p95, ms",
            lambda r: r["gap_ms"][f"burst{burst}"]["p95"],
            1000,
            2300,
            "kopf",
        ),
        Line("memory, MiB", lambda r: r["rss_mib"], 200),
        Line("CPU, cores", lambda r: r["cpu_cores"], 0.15),
        Line("restart, s", lambda r: r["restart_seconds"], 4, 23.5, "kopf.index, 2000 Jobs"),
        Line("API writes per stage", lambda r: r["writes_per_stage"], 4),
        Line("requests in the steady minute", lambda r: r["steady_requests"]["total"], 0),
        Line(
            f"status after {iterations} iterations, bytes",
            lambda r: r[f"status_bytes_after_{iterations}_iterations"],
            16384,
        ),
        Line(
            "etcd per finished job, bytes",
            lambda r: r["etcd_bytes_per_finished_job"],
            163000,
            71000,
            "plain Jobs (floor)",
        ),
    ]


def table(results: Mapping[str, Any], burst: int, iterations: int) -> str:
    """Return a Markdown table with the ratio to the aim and to the peer."""
    rows = ["| measured | value | aim | met | peer | value / peer |", "|---|---|---|---|---|---|"]
    for line in lines(burst, iterations):
        value = line.value(results)
        peer = f"{line.peer_name}: {line.peer:g}" if line.peer else ""
        ratio = f"{value / line.peer:.2f}" if line.peer else ""
        rows.append(
            f"| {line.what} | {value:g} | ≤ {line.aim:g} | {'yes' if value <= line.aim else 'no'} | {peer} | {ratio} |"
        )
    return "\n".join(rows)
