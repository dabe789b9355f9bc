"""The operator's HTTP server: progress reports of stages at one port; /healthz, /readyz and /metrics at another."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError

from pfd_operator.contract.result import Progress
from pfd_operator.kube.observe import CachedJob

from .scrapes import Scrapes

if TYPE_CHECKING:
    from .operator import Operator

REPORT_MAX_BYTES = 4096


class Server:
    """Serves until closed. Stage pods run what users name, and metrics are about every namespace: each has its port."""

    def __init__(self, operator: Operator, progress_port: int, metrics_port: int) -> None:
        self._operator = operator
        self._scrapes = Scrapes(operator.metrics)
        progress = web.Application(client_max_size=REPORT_MAX_BYTES)
        progress.router.add_post("/progress/{namespace}/{job}", self._progress)
        metrics = web.Application()
        metrics.router.add_get("/healthz", self._health)
        metrics.router.add_get("/readyz", self._readiness)
        metrics.router.add_get("/metrics", self._metrics)
        self._runners = [
            (web.AppRunner(progress, access_log=None), progress_port),
            (web.AppRunner(metrics, access_log=None), metrics_port),
        ]

    async def start(self) -> None:
        """Listen."""
        for runner, port in self._runners:
            await runner.setup()
            await web.TCPSite(runner, port=port).start()

    async def close(self) -> None:
        """Stop listening."""
        for runner, _ in self._runners:
            await runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        complaints = self._operator.complaints()
        return web.json_response(
            {"healthy": not complaints, "complaints": complaints}, status=503 if complaints else 200
        )

    async def _readiness(self, request: web.Request) -> web.Response:
        waits_for = self._operator.waits_for
        return web.json_response({"ready": not waits_for, "waitsFor": waits_for}, status=503 if waits_for else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        body = await self._scrapes.text(request.query.getall("name[]", []))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _progress(self, request: web.Request) -> web.Response:
        response = await self._take_report(request)
        self._operator.metrics.progress_reports.labels(str(response.status)).inc()
        return response

    async def _take_report(self, request: web.Request) -> web.Response:
        job = self._operator.children.job(request.match_info["namespace"], request.match_info["job"])
        # unknown Jobs and wrong tokens answer alike: nobody learns here which Jobs exist
        if job is None or not _authorised(request, job):
            return web.Response(status=401, text="no such attempt, or not its token\n")
        try:
            progress = Progress.model_validate_json(await request.read())
        except (ValidationError, web.HTTPRequestEntityTooLarge) as error:
            return web.Response(status=400, text=f"not a progress report: {error}\n")
        self._operator.reported(job, progress)
        return web.Response(status=204)


def _authorised(request: web.Request, job: CachedJob) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # whatever bytes came: an error would tell that there is such a Job
    given = token.encode(errors="surrogateescape")
    return scheme == "Bearer" and bool(job.token) and hmac.compare_digest(given, job.token.encode())
