"""Whoever asks for metrics without pause takes a small share of the operator's time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from prometheus_client.registry import Collector

from pfd_operator.runtime import scrapes
from pfd_operator.runtime.metrics import Metrics
from pfd_operator.runtime.scrapes import LARGEST_SHARE, Scrapes

TAKES_SECONDS = 0.2


class Clock:
    """Time that goes on while something is computed or slept."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock by which each answer takes the same time; answers are numbered."""
    clock, answers = Clock(), iter(range(1, 100))

    def compute(of: Collector) -> bytes:
        clock.now += TAKES_SECONDS
        return str(next(answers)).encode()

    monkeypatch.setattr(scrapes, "generate_latest", compute)
    monkeypatch.setattr(scrapes, "time", clock)
    monkeypatch.setattr(scrapes, "asyncio", SimpleNamespace(Lock=asyncio.Lock, sleep=clock.sleep))
    return clock


async def test_one_answer_serves_all_who_ask_meanwhile(clock: Clock) -> None:
    asked = Scrapes(Metrics())
    assert set(await asyncio.gather(*(asked.text(()) for _ in range(50)))) == {b"1"}
    clock.now += TAKES_SECONDS / LARGEST_SHARE
    assert await asked.text(()) == b"2", "and the next is new"


async def test_other_questions_wait_for_their_turn(clock: Clock) -> None:
    asked, began = Scrapes(Metrics()), clock.now
    answers = await asyncio.gather(*(asked.text((f"sample_{number}",)) for number in range(4)))
    assert answers == [b"1", b"2", b"3", b"4"]
    # nobody waits behind the last
    assert 3 * TAKES_SECONDS / (clock.now - TAKES_SECONDS - began) == pytest.approx(LARGEST_SHARE)
