"""The way to a real S3 server fails in every way that the chaos suite knows; what stages see of it is time."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from botocore.exceptions import EndpointConnectionError

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.store import s3
from pfd_worker.store.s3 import S3Store
from tests.chaos.faults import Book, Fault, Weather
from tests.chaos.storage import StorageProxy

BODY = bytes(range(256)) * 64
PARTS = 5 * 1024**2
"""Of four bytes each, an object that is downloaded in several requests."""
FAULTS = [fault for fault in Fault if fault.name.startswith("STORE_") and fault is not Fault.STORE_DOWN]


class Scripted(Weather):
    """Does what it is told, once each."""

    def __init__(self) -> None:
        super().__init__("none")
        self.coming: list[Fault] = []

    def of_storage(self) -> Fault | None:
        return self.coming.pop(0) if self.coming else None


class Way:
    def __init__(self, proxy: StorageProxy, weather: Scripted, store: S3Store, loop: asyncio.AbstractEventLoop) -> None:
        self.proxy, self.weather, self.store, self._loop = proxy, weather, store, loop

    def outage(self, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self.proxy.outage(seconds), self._loop)
        # it has begun when what was asked for after it is done
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(30)


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """The client waits less before it asks again, and a slow answer is less slow."""
    delay = "botocore.retries.standard.ExponentialBackoff.delay_amount"
    monkeypatch.setattr(delay, lambda *given: 0.01)
    monkeypatch.setattr("tests.chaos.storage.SLOW_SECONDS", (0.05, 0.1))


@pytest.fixture
def way(s3_location) -> Iterator[Way]:
    weather = Scripted()
    with running_loop() as loop:

        def do(work):
            return asyncio.run_coroutine_threadsafe(work, loop).result(30)

        proxy = StorageProxy(s3_location.endpoint, weather, Book())
        place = s3_location.model_copy(update={"endpoint": do(proxy.start())})
        yield Way(proxy, weather, S3Store(place), loop)
        do(proxy.close())


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_stored_is_found_whatever_befalls_the_requests(way, tmp_path, fault):
    way.weather.coming = [fault]
    way.store.put("a", BODY)
    way.weather.coming = [fault]
    assert way.store.get("a") == BODY
    way.weather.coming = [fault]
    way.store.download("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert not way.weather.coming


@pytest.mark.parametrize("fault", [Fault.STORE_ANSWER_LOST, Fault.STORE_BUSY, Fault.STORE_TRUNCATED])
def test_a_conditional_put_knows_its_own_when_the_answer_was_lost(way, fault):
    way.weather.coming = [fault]
    assert way.store.put_if_absent("claim", b"mine")
    way.weather.coming = [fault]
    assert not way.store.put_if_absent("claim", b"another's")
    assert way.store.get("claim") == b"mine"


def test_deleting_twice_is_deleting(way):
    way.store.put("a", b"")
    way.weather.coming = [Fault.STORE_ANSWER_LOST]
    way.store.delete("a")
    assert way.store.list("") == [] and way.store.age_seconds("a") is None


def test_before_its_first_answer_a_store_is_not_waited_for_as_long(way, monkeypatch):
    monkeypatch.setattr(s3, "FIRST_PATIENCE_SECONDS", 0.0)
    way.weather.coming = [Fault.STORE_RESET] * 4
    with pytest.raises(StageError) as caught:
        way.store.get("a")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    way.weather.coming = []
    assert way.store.get("a") is None
    way.weather.coming = [Fault.STORE_RESET] * 5
    assert way.store.get("a") is None


def test_a_long_upload_is_repeated_although_it_took_longer_than_the_patience(s3_location, tmp_path, monkeypatch):
    store = S3Store(s3_location, patience_seconds=2)
    store.put("a", BODY)
    clock = SimpleNamespace(now=0.0, tries=0)
    monkeypatch.setattr(s3, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=lambda seconds: None))
    upload = store._client.upload_file

    def slow(*given):
        clock.now, clock.tries = clock.now + 3600, clock.tries + 1
        if clock.tries == 1:
            raise EndpointConnectionError(endpoint_url="http://away")
        upload(*given)

    monkeypatch.setattr(store._client, "upload_file", slow)
    (tmp_path / "b").write_bytes(BODY)
    store.upload(tmp_path / "b", "b")
    assert (store.get("b"), clock.tries) == (BODY, 2)


def test_a_bundle_that_is_not_there_is_the_users_error(s3_location, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.crt"))
    assert S3Store(s3_location).get("a") is None, "without TLS nothing needs it"
    store = S3Store(s3_location.model_copy(update={"endpoint": s3_location.endpoint.replace("http:", "https:")}), 0)
    with pytest.raises(StageError) as caught:
        store.get("a")
    assert (caught.value.reason, caught.value.exit_code) == (Reason.CA_BUNDLE_MISSING, ExitCode.USER_ERROR)
    for named in ("spec.artifacts.s3.caBundleConfigMap", "ca.crt", str(tmp_path)):
        assert named in caught.value.message
    (tmp_path / "ca.crt").write_text("")
    with pytest.raises(StageError) as caught:
        store.get("a")
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


def test_an_outage_is_waited_for(way, monkeypatch):
    sleep, waits = time.sleep, []

    def shorter(seconds):
        waits.append(seconds)
        sleep(0.05 * seconds)

    monkeypatch.setattr("pfd_worker.store.s3.time", SimpleNamespace(monotonic=time.monotonic, sleep=shorter))
    way.store.put("a", BODY)
    started = time.monotonic()
    way.outage(0.3)
    assert way.store.get("a") == BODY
    assert time.monotonic() - started >= 0.3
    assert waits and waits == [2.0**number for number in range(len(waits))]


def replaced_in_the_middle(store: S3Store, content: bytes) -> None:
    """Have an object replaced, once, between the first part of a download and the next."""
    left = [content]

    def replace(params, **_):
        if "IfMatch" in params and left:
            store.put("a", left.pop())

    store._client.meta.events.register("provide-client-params.s3.GetObject", replace)


@pytest.mark.parametrize("length", [1.0, 0.3])
def test_an_object_that_is_replaced_while_it_is_read_is_read_anew(s3_location, tmp_path, monkeypatch, length):
    waits = []
    monkeypatch.setattr(s3, "time", SimpleNamespace(monotonic=time.monotonic, sleep=waits.append))
    store, new = S3Store(s3_location), b"new " * int(length * PARTS)
    store.put("a", b"old " * PARTS)
    replaced_in_the_middle(store, new)
    store.download("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == new
    assert waits == [1.0]


def test_an_object_that_is_replaced_whenever_it_is_read_is_told_in_words(s3_location, tmp_path):
    store = S3Store(s3_location, patience_seconds=0)
    store.put("a", b"old " * PARTS)
    replaced_in_the_middle(store, b"new ")
    with pytest.raises(StageError, match=r"s3://.*/a was replaced while it was read") as caught:
        store.download("a", tmp_path / "a")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE)
