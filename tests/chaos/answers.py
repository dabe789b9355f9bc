"""Requests and answers of an API server: which kind a request is, and how a server refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from pfd_operator.render.labels import UID_LABEL

from .faults import Fault, Request

REFUSALS = {
    Fault.CONFLICT: (409, "Conflict", "Operation cannot be fulfilled: the object has been modified"),
    Fault.TOO_MANY_REQUESTS: (429, "TooManyRequests", "too many requests, please try again later"),
    Fault.SERVER_ERROR: (500, "InternalError", "etcdserver: leader changed"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable", "apiserver is shutting down"),
    Fault.GATEWAY_TIMEOUT: (504, "Timeout", "request did not complete within the allotted timeout"),
}


@dataclass(frozen=True)
class Answer:
    """A whole answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    length: str | None = None
    """Of the body that an answer to HEAD leaves out."""


def kind_of(method: str, path: str, query: Mapping[str, str]) -> Request:
    """Return what kind of request this is.

    What caches are filled from (whole collections) may be an old list, as from a server that is behind; the children of
    one resource are asked for to be certain, and no API server answers a consistent read with the past.
    """
    if method != "GET":
        return Request(write=True)
    if query.get("watch") in ("true", "1", "True"):
        return Request(watch=True)
    collection = path.rsplit("/", 1)[-1] in ("jobs", "pods", "configmaps", "finetunejobs", "distilljobs")
    for_a_cache = UID_LABEL not in query.get("labelSelector", "")
    return Request(list=collection and for_a_cache and "continue" not in query)


def cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


def as_response(answer: Answer) -> web.Response:
    headers = {**answer.headers, **({} if answer.length is None else {"Content-Length": answer.length})}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def refusal(fault: Fault) -> web.Response:
    code, reason, message = REFUSALS[fault]
    headers = {"Retry-After": "1"} if code in (429, 503) else {}
    return web.json_response(_status(code, reason, message), status=code, headers=headers)


def expired() -> web.Response:
    event = {"type": "ERROR", "object": _status(410, "Expired", "too old resource version")}
    return web.Response(body=json.dumps(event).encode() + b"\n", content_type="application/json")


def _status(code: int, reason: str, message: str) -> dict[str, object]:
    words = {"status": "Failure", "message": message, "reason": reason, "code": code}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, **words}
