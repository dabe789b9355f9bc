"""A way into the cluster for an address that only pods know: kubectl port-forward, for as long as it is needed."""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO
from urllib.parse import urlsplit

from .reading import CannotShow

_IN_CLUSTER = re.compile(r"(?P<service>[a-z0-9][a-z0-9-]*)\.(?P<namespace>[a-z0-9][a-z0-9-]*)\.svc(\..*)?")
_FORWARDED = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")
_PATIENCE_SECONDS = 30.0
_OTHERWISE = "Give an address of the store that you reach from here with --endpoint-url."


@contextmanager
def reachable(endpoint: str | None, kubectl: Sequence[str]) -> Iterator[str | None]:
    """Yield an address by which an endpoint is reached from here: its own, or that of a forwarded port.

    Parameters
    ----------
    endpoint
        URL of the endpoint, None for AWS; that of a Service is forwarded where its name is not known.
    kubectl
        Options of kubectl: which cluster it is.

    Raises
    ------
    CannotShow
        If it is no URL, or no port can be forwarded.
    """
    if endpoint is None:
        yield None
        return
    scheme, name, port = _parts(endpoint)
    host = _IN_CLUSTER.fullmatch(name)
    if host is None or _is_known(name):
        yield endpoint
        return
    if scheme != "http":
        raise CannotShow(f"{endpoint} is an address in the cluster whose certificate is of no other. {_OTHERWISE}")
    command = ["kubectl", *kubectl, "--namespace", host["namespace"], "port-forward", "--address", "127.0.0.1"]
    command += [f"service/{host['service']}", f":{port}"]
    # no pipe: a program that kubectl started for its credentials may hold it open for longer
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603
        except OSError as error:
            raise CannotShow(f"{endpoint} is an address in the cluster, and kubectl does not start: {error}") from error
        with process:
            try:
                yield f"http://{_forwarded(process, errors, endpoint)}"
            finally:
                process.terminate()


def _parts(endpoint: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL."""
    try:
        parts = urlsplit(endpoint)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise CannotShow(f"{endpoint} is no address of a store: {error}") from error
    if scheme not in ("http", "https") or not host:
        raise CannotShow(f"{endpoint} is no address of a store: give it as http://HOST:PORT or https://HOST")
    return scheme, host, port or 80


def _is_known(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _forwarded(process: subprocess.Popen[str], errors: IO[str], endpoint: str) -> str:
    """Return the port that kubectl forwards, as soon as it says so; one that does not in time is ended."""
    timer = threading.Timer(_PATIENCE_SECONDS, process.kill)
    timer.start()
    found = _FORWARDED.match(process.stdout.readline() if process.stdout else "")
    timer.cancel()
    if found is None:
        process.terminate()
        process.wait()
        errors.seek(0)
        said = " ".join(errors.read().split()) or f"nothing (it is waited for {_PATIENCE_SECONDS:g} s)"
        raise CannotShow(
            f"{endpoint} is an address in the cluster, and kubectl port-forward says: {said}. {_OTHERWISE}"
        )
    return found.group(1)
