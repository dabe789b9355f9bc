"""The queue: one entry for each key, never two workers on one, ever longer waits after failures."""

from __future__ import annotations

import asyncio
import random

import pytest

from pfd_operator.runtime.queue import (
    FIRST_BACKOFF_SECONDS,
    LONGEST_BACKOFF_SECONDS,
    PASSED_OVER_MAX,
    KeyedQueue,
)
from tests.jumping_loop import in_no_time


async def test_a_key_is_queued_once() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    for _ in range(3):
        queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_again() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"


@in_no_time
async def test_the_earlier_of_two_delays_counts() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("a", 10)
    queue.add_after("a", 60)
    assert await asyncio.wait_for(queue.get(), 20) == "a"


@in_no_time
async def test_adding_now_cancels_the_delay() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add_after("a", 10)
    queue.add("a")
    queue.done(await queue.get())
    await asyncio.sleep(20)
    assert len(queue) == 0


async def test_a_key_that_comes_at_once_again_lets_others_run() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")

    async def work() -> None:
        for _ in range(1000):
            queue.add(key := await queue.get())
            queue.done(key)

    working = asyncio.create_task(work())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not working.done()
    working.cancel()


async def test_backoff_grows_to_a_limit_and_is_forgotten() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    waits = [queue.failed("a") for _ in range(40)]
    assert waits[:3] == [FIRST_BACKOFF_SECONDS * factor for factor in (1, 2, 4)]
    assert waits[-1] == LONGEST_BACKOFF_SECONDS
    queue.succeeded("a")
    assert queue.failed("a") == FIRST_BACKOFF_SECONDS
    queue.close()


async def test_a_cancelled_worker_loses_no_key() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 1) == "a"


@pytest.mark.parametrize("seed", range(5))
async def test_no_key_is_worked_on_twice_and_the_last_state_is_seen(seed: int) -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    choose = random.Random(seed)
    state, seen, running = dict.fromkeys(range(5), 0), dict.fromkeys(range(5), -1), set[int]()

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in running
            running.add(key)
            value = state[key]
            await asyncio.sleep(0)
            seen[key] = value
            running.discard(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for _ in range(500):
        key = choose.randrange(5)
        state[key] += 1
        queue.add(key)
        if choose.random() < 0.3:
            await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert seen == state
    assert not [worker for worker in workers if worker.done()]
    for worker in workers:
        worker.cancel()


@in_no_time
async def test_the_oldest_entry_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfd_operator.runtime.queue.time.monotonic", asyncio.get_running_loop().time)
    queue: KeyedQueue[str] = KeyedQueue()
    assert queue.longest_wait() == 0
    queue.add("a")
    key = await queue.get()
    await asyncio.sleep(10)
    assert queue.longest_wait() == 10
    queue.done(key)
    assert queue.longest_wait() == 0


async def test_idle_means_that_no_key_waits() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    await asyncio.wait_for(queue.idle(), 1)
    queue.add("a")
    waiting = asyncio.create_task(queue.idle())
    await asyncio.sleep(0)
    assert not waiting.done()
    await queue.get()
    await asyncio.wait_for(waiting, 1)
    queue.add("b")
    queue.close()
    # its workers are gone
    await asyncio.wait_for(queue.idle(), 1)


async def due(queue: KeyedQueue[str], *keys: str) -> None:
    for key in keys:
        queue.add_after(key, 1)
    await asyncio.sleep(2)


@in_no_time
async def test_what_is_wanted_now_goes_before_what_became_due() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    await due(queue, "noted", "later")
    queue.add("job")
    assert len(queue) == 3
    assert [await queue.get() for _ in range(3)] == ["job", "noted", "later"]
    await asyncio.wait_for(queue.idle(), 1)


@in_no_time
async def test_a_key_that_is_due_is_wanted_now() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    await due(queue, "a", "b")
    queue.add("b")
    assert [await queue.get() for _ in range(2)] == ["b", "a"]
    assert len(queue) == 0


@in_no_time
async def test_a_key_that_becomes_due_while_worked_on_comes_again() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    queue.add("a")
    assert await queue.get() == "a"
    await due(queue, "a")
    assert len(queue) == 0
    queue.done("a")
    assert await queue.get() == "a"


@in_no_time
async def test_what_is_due_comes_to_its_turn_in_any_burst() -> None:
    queue: KeyedQueue[str] = KeyedQueue()
    await due(queue, "noted")
    for number in range(2 * PASSED_OVER_MAX):
        queue.add(str(number))
    taken = [await queue.get() for _ in range(PASSED_OVER_MAX + 1)]
    assert taken[-1] == "noted"
