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
    peer: float | Callable[[Mapping[str, Any]], float] | None = None
    peer_name: str = ""


def lines(burst: int, iterations: int) -> list[Line]:
    """Return what is compared; peers' values with where they were measured are in docs/benchmarks/operator.md."""
    key = f"burst{burst}"
    status = f"status_bytes_after_{iterations}_iterations"
    bare = "bare watcher, same run"

    def gap(scenario: str, quantile: str, of: str = "gap_ms") -> Callable[[Mapping[str, Any]], float]:
        return lambda results: float(results[of][scenario][quantile])

    return [
        Line("pod done to next Job, idle, p50, ms", gap("idle", "p50"), 50, gap("idle", "p50", "floor_gap_ms"), bare),
        Line("pod done to next Job, idle, p95, ms", gap("idle", "p95"), 50, gap("idle", "p95", "floor_gap_ms"), bare),
        Line("the same", gap("idle", "p95"), 50, 1000, "Argo Workflows, tuned"),
        Line(f"the same, {burst} at once, p95, ms", gap(key, "p95"), 1000, gap(key, "p95", "floor_gap_ms"), bare),
        Line("memory, MiB", lambda r: r["rss_mib"], 200),
        Line("CPU, cores", lambda r: r["cpu_cores"], 0.15),
        Line("restart, s", lambda r: r["restart_seconds"], 4, 23.5, "kopf.index"),
        Line("API writes per stage, one at a time", lambda r: r["writes_per_stage_by_scenario"]["idle"], 4),
        Line("API writes per stage, worst scenario", lambda r: r["writes_per_stage"], 4),
        Line("requests in the steady time", lambda r: r["steady_requests"]["total"], 0),
        Line(f"status after {iterations} iterations, bytes", lambda r: r[status], 16384),
        Line("etcd per finished job, bytes", lambda r: r["etcd_bytes_per_finished_job"], 40960, 71000, "plain Jobs"),
        Line("memory with finished jobs on top, MiB", lambda r: r["finished_on_top"]["rss_mib"], 200),
        Line("restart with them, s", lambda r: r["finished_on_top"]["restart_seconds"], 4),
        Line("8 trivial stages, times plain Jobs", lambda r: r["overhead_over_plain_jobs"]["stages8"]["ratio"], 1.1),
        Line("40 items, times plain Jobs", lambda r: r["overhead_over_plain_jobs"]["indexed40"]["ratio"], 1.05),
    ]


def table(results: Mapping[str, Any], burst: int, iterations: int) -> str:
    """Return a Markdown table with the ratio to the aim and to the peer."""
    rows = ["| measured | value | aim | met | peer | value / peer |", "|---|---|---|---|---|---|"]
    for line in lines(burst, iterations):
        try:
            value = line.value(results)
        except KeyError:
            # left out of this run
            continue
        other = line.peer(results) if callable(line.peer) else line.peer
        peer = f"{line.peer_name}: {other:g}" if other else ""
        ratio = f"{value / other:.2f}" if other else ""
        rows.append(
            f"| {line.what} | {value:g} | ≤ {line.aim:g} | {'yes' if value <= line.aim else 'no'} | {peer} | {ratio} |"
        )
    return "\n".join(rows)
