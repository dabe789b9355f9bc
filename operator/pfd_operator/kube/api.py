"""A thin JSON client over kubernetes.aio: no generated models, which cost more memory and time than the data."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yaml
from kubernetes.aio import client, config

from .clock import ServerClock
from .nesting import read_json

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NOT_PACKED = "identity"
"""Lists of thousands of objects cost more processor time to pack and unpack than the cluster's network saves."""
REQUEST_TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 20
"""Of all lists: any object may have more than a megabyte, and a page is in memory as bytes, as text and as objects."""
USER_KUBECONFIG = "~/.kube/config"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN = "BearerToken"  # noqa: S105 - where it is in a configuration
_UNREADABLE = (config.ConfigException, OSError, yaml.YAMLError, ValueError)
_NO_KUBECONFIG = (AttributeError, KeyError, TypeError)
"""The library takes for granted that it reads a mapping of lists."""


class ApiError(Exception):
    """The API server refused or did not answer.

    Parameters
    ----------
    status
        HTTP status code; 0 if there was no answer.
    reason
        Kubernetes' reason, e.g. AlreadyExists.
    message
        What the server said.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message


class KubeApi:
    """Requests to one API server; JSON in, JSON out.

    Parameters
    ----------
    api_client
        What is configured to speak to the server.
    default_namespace
        That of the configuration, if it names one; in a pod its own, as kubectl takes it.
    renew
        Reads the configuration again, into the one that `api_client` has; None where that is kept current.
    """

    def __init__(
        self,
        api_client: client.ApiClient,
        default_namespace: str | None = None,
        renew: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._client = api_client
        self.default_namespace = default_namespace
        self._renew = renew
        self._clock = ServerClock()
        # one quiet watch per informer must never keep requests waiting for a connection
        self._client.rest_client.maxsize = 0
        # a session that trusts the environment looks for a netrc file in another thread before every request
        configuration = api_client.configuration
        self._client.rest_client.proxy = configuration.proxy or _proxy_for(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> KubeApi:
        """Connect by a kubeconfig file, $KUBECONFIG, the pod's service account, or ~/.kube/config, in this order.

        Raises
        ------
        ApiError
            If no configuration is found, or it is none.
        """
        configuration = client.Configuration()
        given = str(kubeconfig or os.environ.get("KUBECONFIG") or "")
        path = given or USER_KUBECONFIG
        try:
            if not given and context is None and SERVICE_ACCOUNT.exists():
                path = str(SERVICE_ACCOUNT)
                config.load_incluster_config(client_configuration=configuration)
                own = SERVICE_ACCOUNT / "namespace"
                return cls(client.ApiClient(configuration), own.read_text().strip() if own.exists() else None)
            chosen = (await config.load_kube_config(path, context, configuration)).current_context
            # whoever makes another context the current one meanwhile does not mean what runs already
            renew = partial(config.load_kube_config, path, chosen["name"], configuration)
            return cls(client.ApiClient(configuration), chosen["context"].get("namespace"), renew)
        except _UNREADABLE as error:
            said = " ".join(str(error).split())
            raise ApiError(0, "NoConfiguration", f"cannot connect to Kubernetes by {path}: {said}") from error
        except _NO_KUBECONFIG as error:
            message = f"cannot connect to Kubernetes by {path}: it is empty, or no kubeconfig"
            raise ApiError(0, "NoConfiguration", message) from error

    @property
    def configuration(self) -> client.Configuration:
        """Server, certificates and token in use."""
        return self._client.configuration

    def now(self) -> datetime:
        """Return the server's time."""
        return self._clock.now()

    def trace(self, config: aiohttp.TraceConfig) -> None:
        """Have requests followed; before the first of them."""
        self._client.configuration.trace_configs = [config]

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> dict[str, Any]:
        """Send one request and return the JSON answer.

        Raises
        ------
        ApiError
            For any status ≥ 400, and with status 0 when there is no answer, or none that can be read.
        """
        payload = await self._exchange(method, path, body, query, content_type, accept)
        answer = _parsed(payload)
        if answer is None:
            said = _beginning(payload)
            raise ApiError(0, "Unreadable", f"{method} {path}: the answer cannot be read as a JSON object: {said}")
        return answer

    async def send(
        self, method: str, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> None:
        """Send one request whose answer says nothing new, and is not parsed unless it is a refusal.

        Raises
        ------
        ApiError
            As `request` does.
        """
        await self._exchange(method, path, body, query)

    async def pages(self, path: str, query: Mapping[str, str], accept: str = JSON) -> AsyncIterator[dict[str, Any]]:
        """Yield a list in pages of `PAGE_SIZE`; what is in them may be null where there is nothing.

        Raises
        ------
        ApiError
            As `request`.
        """
        asked = {**query, "limit": str(PAGE_SIZE)}
        while True:
            page = await self.request("GET", path, query=asked, accept=accept)
            yield page
            following = page["metadata"].get("continue")
            if not following:
                return
            asked["continue"] = following

    async def lines(self, path: str, query: Mapping[str, str], silence_seconds: float) -> AsyncIterator[bytes]:
        """Yield the lines of a watch until the server ends it or is silent; an empty one first, when it answered.

        Raises
        ------
        ApiError
            If the server refuses, the connection breaks, or it does not answer within `silence_seconds`.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence_seconds)
        try:
            response = await self._send("GET", path, None, query, JSON, timeout)
            async with response:
                if response.status >= 400:
                    raise _refusal(response.status, await response.read())
                yield b""
                async for line in _lines(response.content):
                    yield line
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise ApiError(0, "WatchBroken", f"watch {path}: {error or type(error).__name__}") from error

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> bytes:
        """Send one request and return the answer as it came; raises as `request` does."""
        try:
            response = await self._send(method, path, body, query, content_type, REQUEST_TIMEOUT_SECONDS, accept)
            async with response:
                payload: bytes = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, "NoAnswer", f"{method} {path}: {error or type(error).__name__}") from error
        if response.status >= 400:
            raise _refusal(response.status, payload)
        return payload

    async def _send(self, *request: Any) -> aiohttp.ClientResponse:
        """Send a request; once more if the server takes the token for none, and another is to be had."""
        sent = self._token
        answer = await self._send_once(*request)
        if answer.status == 401 and await self._renewed(sent):
            answer.release()
            answer = await self._send_once(*request)
        return answer

    async def _renewed(self, refused: str | None) -> bool:
        """Read the configuration again: those of clouds give tokens that last for minutes. False if it has no other."""
        if self._renew is None:
            return False
        # another request may have had it renewed while this one was on its way
        if self._token == refused:
            with contextlib.suppress(*_UNREADABLE, *_NO_KUBECONFIG):
                await self._renew()
        return self._token != refused

    @property
    def _token(self) -> str | None:
        token: str | None = self.configuration.api_key.get(TOKEN)
        return token

    async def _send_once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str] | None,
        content_type: str,
        limit: float | aiohttp.ClientTimeout,
        accept: str = JSON,
    ) -> aiohttp.ClientResponse:
        serialized = await self._client.param_serialize(
            method,
            path,
            header_params={"Accept": accept, "Accept-Encoding": NOT_PACKED, "Content-Type": content_type},
            auth_settings=[TOKEN],
        )
        method, url, headers, _, _ = serialized
        response = await self._client.call_api(
            method,
            f"{url}?{urlencode(query)}" if query else url,
            headers,
            None if body is None else dict(body),
            _request_timeout=limit,
        )
        answer: aiohttp.ClientResponse = response.response
        self._clock.answered(answer.headers.get("Date"))
        return answer


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    buffer = bytearray()
    while True:
        try:
            chunk = await content.readany()
        except TimeoutError:
            # an idle server need not say anything; whether it is still there shows when it is asked again
            return
        if not chunk:
            return
        # readline() of aiohttp gives up at its buffer's size; objects may be larger
        buffer += chunk
        *complete, rest = buffer.split(b"\n")
        buffer = bytearray(rest)
        for line in complete:
            yield bytes(line)


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _parsed(payload: bytes) -> dict[str, Any] | None:
    """Return an answer as an object; None if it is none, whatever a proxy on the way may have made of it."""
    try:
        answer = read_json(payload) if payload else {}
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _beginning(payload: bytes) -> str:
    return payload[:500].decode(errors="replace")


def _refusal(status: int, payload: bytes) -> ApiError:
    answer = _parsed(payload)
    if answer is None:
        return ApiError(status, "Error", _beginning(payload))
    return ApiError(status, str(answer.get("reason", "Error")), str(answer.get("message", "")))
