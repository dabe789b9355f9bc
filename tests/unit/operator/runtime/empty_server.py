"""An API server without any objects."""

from __future__ import annotations

import asyncio

from aiohttp import web

from pfd_operator.api.job import GROUP


class EmptyServer:
    """Has nothing, refuses some namespaces, and serves our kinds once it has their definitions."""

    def __init__(self) -> None:
        self.refused = {"b"}
        self.away = False
        self.defined = True
        self.address = ""
        self.asked = 0
        self.cut = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if self.away:
            return web.json_response({"message": "later"}, status=503)
        if any(f"/namespaces/{name}/" in request.path for name in self.refused):
            return web.json_response({"reason": "Forbidden", "message": "no Role here"}, status=403)
        if not self.defined and f"/{GROUP}/" in request.path:
            return web.json_response({"reason": "NotFound", "message": "no such kind"}, status=404)
        if "watch" in request.query:
            await asyncio.wait_for(self.cut.wait(), 60)
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})
