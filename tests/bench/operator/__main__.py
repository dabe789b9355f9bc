"""make bench-operator: measures the operator at scale and writes build/bench/operator.json."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from tests.control_plane import ROOT, connected
from tests.free_ports import free_port

from . import large, scenarios
from .control_plane import BenchControlPlane
from .kubelet import Kubelets
from .measured_process import MeasuredOperator
from .report import table


def main() -> None:
    """Run all scenarios, print a table."""
    options = _options()
    plane = BenchControlPlane(options.port)
    with contextlib.ExitStack() as ending:
        ending.callback(plane.down)
        if options.keep_logs:
            ending.callback(_keep, plane.state / "operator.log", options.output.with_suffix(".log"))
        plane.up()
        plane.restart_controllers()
        results = asyncio.run(_measure(plane, options))
    sys.stdout.write(table(results, options.burst, options.iterations) + f"\n\nwritten to {options.output}\n")


def _keep(log: Path, to: Path) -> None:
    # there is none where the operator was never started
    with contextlib.suppress(FileNotFoundError):
        shutil.move(log, to)


async def _measure(plane: BenchControlPlane, options: argparse.Namespace) -> dict[str, object]:
    async with connected(plane) as api:
        await plane.install(api)
        operator = MeasuredOperator(
            plane.operator_kubeconfig, options.port + 7, plane.state / "operator.log", tuple(options.prefix.split())
        )
        kubelets = Kubelets(api, lambda name: not name.startswith(("fleet-", "floor-")))
        bench = scenarios.Bench(plane, api, operator, kubelets, options.crs)
        bench.results["machine"] = _machine()
        following = asyncio.create_task(kubelets.run())
        operator.start()
        try:
            for name, scenario in (
                ("fill", lambda: scenarios.fill(bench)),
                ("restart", lambda: scenarios.restart(bench, options.restarts)),
                ("steady", lambda: scenarios.steady(bench, options.steady_seconds)),
                ("idle", lambda: scenarios.idle(bench, options.samples)),
                ("burst", lambda: scenarios.burst(bench, min(options.burst, options.crs))),
                ("floor", lambda: scenarios.floor(bench, options.samples, min(options.burst, options.crs))),
                ("iterations", lambda: scenarios.iterations(bench, options.iterations)),
                ("finished", lambda: scenarios.finished(bench, options.finished)),
                ("indexed", lambda: large.indexed(bench, options.items)),
                ("on_top", lambda: large.on_top(bench, options.finished_on_top, options.steady_seconds)),
            ):
                started = time.monotonic()
                load = os.getloadavg()[0]
                await scenario()
                sys.stderr.write(f"{name}: {time.monotonic() - started:.0f} s, load before {load:.1f}\n")
            bench.results["writes_per_stage"] = max(bench.results["writes_per_stage_by_scenario"].values())
        finally:
            operator.stop()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
            # whatever was measured, even if a scenario failed
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(bench.results, indent=1) + "\n")
    return bench.results


def _machine() -> dict[str, object]:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": models[0].partition(":")[2].strip() if models else platform.machine(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1),
        "niceness": os.nice(0),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crs", type=int, default=2000, help="custom resources, each with a running Job")
    parser.add_argument("--burst", type=int, default=500, help="stages that end at once")
    parser.add_argument("--samples", type=int, default=60, help="stages that end one at a time")
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--steady-seconds", type=float, default=60)
    parser.add_argument("--iterations", type=int, default=100, help="of the one long job")
    parser.add_argument("--finished", type=int, default=20, help="jobs run to their end and weighed")
    parser.add_argument("--items", type=int, default=10_000, help="indexes of one stage; 0: leave it out")
    parser.add_argument("--finished-on-top", type=int, default=5000, help="finished jobs beside the fleet; 0: none")
    parser.add_argument(
        "--port", type=int, default=free_port(in_a_row=8), help="of the API server; the seven after it are used too"
    )
    parser.add_argument("--prefix", default="", help="command to run the operator under, e.g. a profiler's")
    parser.add_argument("--keep-logs", action="store_true", help="keep the operator's log beside the output")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench/operator.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
