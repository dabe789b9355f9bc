"""make chaos: the operator killed and everything around it failing; writes build/chaos/summary.json."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pfd_operator.contract.location import S3Location
from pfd_worker.store.objects import DirectoryStore
from tests.control_plane import ROOT, ControlPlane, connected
from tests.free_ports import free_port
from tests.s3_server import KEYS, s3_server

from .faults import Book, Weather
from .hands import Hands
from .installation import NAMESPACE, OPERATOR_USER, install, kubeconfig_through, server_of
from .judge import Evidence, jobs_created, judge
from .kubelet import Kubelets
from .operator_process import Killer, OperatorProcess
from .proxy import FaultProxy
from .resources import EXPECTED
from .storage import StorageProxy
from .suite import Seen, Suite
from .worker import Worker

PROGRESS_SECONDS = 30.0


def main() -> int:
    """Run the suite; return 1 if anything is wrong."""
    options = _options()
    sys.stderr.write(
        f"seed {options.seed}: repeat the dice with CHAOS='--seed {options.seed} --kills {options.kills}'\n"
    )
    # an operator that was killed while it was answered is none of its business
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    plane = ControlPlane(options.port)
    try:
        plane.up()
        plane.restart_controllers()
        run = Run(plane, options)
        asyncio.run(run.play())
        evidence = run.evidence()
    finally:
        for name in ("operator.log", "labels.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                (options.output / name).write_bytes((plane.state / name).read_bytes())
        if options.keep_audit:
            for path in plane.audit_logs():
                with contextlib.suppress(FileNotFoundError):
                    (options.output / path.name).write_bytes(path.read_bytes())
        plane.down()
    findings = judge(evidence)
    summary = {
        "faults": dict(sorted((str(fault), count) for fault, count in run.book.counts.items())),
        **{name: len(objects) for name, objects in findings.items()},
        "kills": run.book.kills,
        "leases_lost": len(run.operator.exits) - len(findings["operator_ended_by_itself"]),
        "resources": run.seen.resources,
        "jobs": len(jobs_created(evidence.audit, OPERATOR_USER)),
        "pods": run.kubelets.ran,
        "labels": len(evidence.label_lines),
        "seed": options.seed,
        "seconds": round(time.monotonic() - started),
        "findings": {name: objects for name, objects in findings.items() if objects},
    }
    (options.output / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return 1 if any(findings.values()) else 0


class Run:
    """One run, and what it leaves to be judged."""

    def __init__(self, plane: ControlPlane, options: argparse.Namespace) -> None:
        self.plane = plane
        self.options = options
        self.book = Book()
        self.seen = Seen()
        self.labels = plane.state / "labels.jsonl"
        self.buckets = plane.state / "s3"
        self.buckets.mkdir()
        self.labels.touch()

    async def play(self) -> None:
        """Set everything up and play the suite."""
        seed = self.options.seed
        async with connected(self.plane) as api, self._storage(Weather(f"{seed}/s3")) as (way_to_s3, place):
            await install(api)
            network, pods = Weather(f"{seed}/network"), Weather(f"{seed}/pods")
            proxy = FaultProxy(*server_of(self.plane), network, self.book)
            kubeconfig = await kubeconfig_through(api, self.plane, await proxy.start())
            self.operator = OperatorProcess(kubeconfig, self.plane.state / "operator.log")
            worker = Worker(place, self.labels, f"{seed}/worker")
            self.kubelets = Kubelets(api, NAMESPACE, worker, pods, self.book)
            killer = Killer(self.operator, self.book, f"{seed}/kills")
            proxy.writing = killer.at_write
            hands = Hands(api, self.kubelets, way_to_s3, self.operator, self.book, f"{seed}/hands")

            def weather(bad: bool) -> None:
                network.bad = pods.bad = way_to_s3.weather.bad = bad

            suite = Suite(
                api, self.operator, self.kubelets, hands, killer, weather, seed, self.options.settle_seconds, self.seen
            )
            tasks = [
                asyncio.create_task(work)
                for work in (self.kubelets.run(), self.operator.keep_alive(), self._progress())
            ]
            try:
                self.operator.start()
                async with suite.watching():
                    await suite.reference()
                    await suite.storm(self.options.kills, self.options.groups, self.options.calm_groups)
                    await suite.clean_up()
                for task in tasks:
                    if task.done():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.operator.stop()
                await self.kubelets.close()
                await proxy.close()

    @asynccontextmanager
    async def _storage(self, weather: Weather) -> AsyncIterator[tuple[StorageProxy, S3Location]]:
        """Yield the fault proxy before a real S3 server, and a bucket as the pods reach it."""
        os.environ.update(KEYS)
        with s3_server(self.buckets) as server:
            proxy = StorageProxy(server.endpoint, weather, self.book)
            place = (await asyncio.to_thread(server.make_bucket)).model_copy(update={"endpoint": await proxy.start()})
            self.bucket = self.buckets / place.bucket
            try:
                yield proxy, place
            finally:
                await proxy.close()

    def evidence(self) -> Evidence:
        """Read the instruments."""
        entered, committed = set(), {}
        # the server's folder, not the way to it
        for root in sorted(self.bucket.iterdir()):
            store = DirectoryStore(root)
            keys = store.list("jobs/")
            entered |= {Path(key).name.split(".")[0] for key in keys if not key.rpartition("/")[2].count(".wasted.")}
            manifests = [key.split("/") for key in store.list("stages/") if key.endswith("manifest.json")]
            committed[root.name] = frozenset(parts[1] for parts in manifests)
        return Evidence(
            operator_user=OPERATOR_USER,
            audit=self._audit(),
            ended_attempts=self.book.ended_attempts,
            overlaps=self.kubelets.overlaps,
            label_lines=[json.loads(line) for line in self.labels.read_text().splitlines()],
            entered_labels=frozenset(entered),
            expected=EXPECTED,
            references=self.seen.references,
            ended=self.seen.ended,
            committed=committed,
            stuck=self.seen.stuck,
            leftovers=self.seen.leftovers,
            exits=self.operator.exits,
            faults=self.book.counts,
        )

    def _audit(self) -> list[dict[str, Any]]:
        """Return the audit log's events that the judge looks at: the operator's, and all of Jobs."""
        logs = [path for path in self.plane.audit_logs() if path.exists()]
        if len(logs) > 2:
            raise RuntimeError(f"the audit log was turned over {len(logs) - 1} times: its beginning may be lost")
        events = []
        for path in logs:
            with path.open() as lines:
                events += [json.loads(line) for line in lines if OPERATOR_USER in line or '"resource":"jobs"' in line]
        return [event for event in events if event["stage"] == "ResponseComplete"]

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            words = f"{self.book.kills} kills, {len(self.seen.ended)} of {self.seen.resources} resources ended"
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}, {self.kubelets.ran} pods\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=secrets.token_hex(4), help="of all dice; drawn and printed if not given")
    parser.add_argument("--kills", type=int, default=200, help="how often the operator is killed")
    parser.add_argument("--groups", type=int, default=10, help="of jobs, at a time")
    parser.add_argument("--calm-groups", type=int, default=40, help="groups after the kills, with all other faults")
    parser.add_argument("--settle-seconds", type=float, default=300, help="a job that takes longer is stuck")
    parser.add_argument(
        "--port", type=int, default=free_port(in_a_row=7), help="of the API server; the six after it are used too"
    )
    parser.add_argument("--keep-audit", action="store_true", help="keep the audit log beside the summary")
    parser.add_argument("--output", type=Path, default=ROOT / "build/chaos")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
