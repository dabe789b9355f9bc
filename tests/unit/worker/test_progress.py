"""Progress as the operator hears it: the newest report, now and then, and never a reason to fail."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pfd_worker.progress import ProgressReporter

WAIT = 10.0
"""Seconds until a test gives up; nothing waits as long where all is well."""


class Operator(ThreadingHTTPServer):
    """Takes reports, and answers as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: queue.Queue[tuple[dict[str, str], dict[str, object]]] = queue.Queue()
        self.status = 204

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/progress/uid"


class Handler(BaseHTTPRequestHandler):
    server: Operator

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        # answered first: who has heard of it may then expect the next one
        self.send_response(self.server.status)
        self.end_headers()
        self.server.heard.put((dict(self.headers), body))

    def log_message(self, *given: object) -> None:
        pass


@pytest.fixture
def operator() -> Iterator[Operator]:
    with Operator() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


class Clock:
    """The time between two reports is over when the test says so."""

    def __init__(self) -> None:
        self.pauses = threading.Semaphore(0)

    def sleep(self, seconds: float) -> None:
        self.pauses.acquire(timeout=WAIT)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pfd_worker.progress.time", clock)
    return clock


def test_reports_carry_the_token_and_the_newest_comes_after_the_pause(operator, clock):
    report = ProgressReporter(operator.url, "the token")
    report(10, "begun")
    headers, first = operator.heard.get(timeout=WAIT)
    assert headers["Authorization"] == "Bearer the token" and headers["Content-Type"] == "application/json"
    assert (first["percent"], first["message"]) == (10.0, "begun")
    for percent in (20, 30, 40):
        report(percent, f"{percent} done")
    assert operator.heard.empty(), "one in each pause"
    clock.pauses.release()
    assert operator.heard.get(timeout=WAIT)[1]["message"] == "40 done"


@pytest.mark.parametrize("status", [401, 500])
def test_an_operator_that_refuses_is_told_again(operator, clock, status):
    operator.status = status
    report = ProgressReporter(operator.url, "")
    report(10, "refused")
    operator.heard.get(timeout=WAIT)
    operator.status = 204
    report(20, "heard")
    clock.pauses.release()
    assert operator.heard.get(timeout=WAIT)[1]["message"] == "heard"


def test_an_operator_that_is_not_there_stops_nothing(operator, clock):
    url = operator.url
    operator.server_close()
    tried = threading.Event()
    report = ProgressReporter(url, "")
    send = report._send

    def tells(progress):
        send(progress)
        tried.set()

    report._send = tells
    for percent in (10, 20):
        tried.clear()
        report(percent, "nobody hears")
        assert tried.wait(WAIT), "the thread lives on"
        clock.pauses.release()


@pytest.mark.parametrize(("percent", "told"), [(-3, 0.0), (0.55, 0.6), (100, 100.0), (180, 100.0)])
def test_a_report_stays_within_its_bounds(operator, percent, told):
    ProgressReporter(operator.url, "")(percent, "x" * 1000)
    body = operator.heard.get(timeout=WAIT)[1]
    assert (body["percent"], len(body["message"])) == (told, 256)


def test_without_an_operator_it_is_only_logged(caplog):
    before = set(threading.enumerate())
    with caplog.at_level("INFO", logger="pfd_worker.progress"):
        ProgressReporter(None, "")(50, "half")
    assert "50 % half" in caplog.text
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "progress"]
