"""A queue of keys: each is in it once, none is worked on twice at a time, and failures wait ever longer.

What was added for now goes before what was added for later and has become due: the next Job before the look that only
brings a status up to date. In a burst such looks wait until it is over, and find more to write at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 300.0
PASSED_OVER_MAX = 16
"""So many keys in a row may go before one that is due: it must come to its turn in the longest burst."""


class KeyedQueue(Generic[K]):
    """Keys to reconcile; adding one that is being worked on makes it come again afterwards."""

    def __init__(self, waited: Callable[[float], None] = lambda seconds: None) -> None:
        self._waited = waited
        self.retries = 0
        self._ready: deque[K] = deque()
        self._due: dict[K, None] = {}
        """In the order in which they became due."""
        self._passed_over = 0
        self._since: dict[K, float] = {}
        self._running: dict[K, float] = {}
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._available = asyncio.Semaphore(0)
        """One permit for each key that waits."""
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._ready) + len(self._due)

    @property
    def failing(self) -> int:
        """Keys whose last reconcile failed."""
        return len(self._failures)

    def add(self, key: K) -> None:
        """Add a key now."""
        self._cancel_timer(key)
        if key in self._running:
            self._again.add(key)
        elif key in self._due:
            del self._due[key]
            self._ready.append(key)
        elif key not in self._since:
            self._ready.append(key)
            self._came(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add a key later; of several times the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self._become_due, key)

    async def get(self) -> K:
        """Wait for a key and take it; `done` must follow."""
        # a reconcile need not wait for anything, and must not keep all else from running when it comes at once again
        await asyncio.sleep(0)
        await self._available.acquire()
        key = self._take()
        if not len(self):
            self._empty.set()
        self._running[key] = time.monotonic()
        self._waited(self._running[key] - self._since.pop(key))
        return key

    def done(self, key: K) -> None:
        """Say that a key is no longer worked on."""
        self._running.pop(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def failed(self, key: K) -> float:
        """Count a failure and add the key after a wait; return the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.retries += 1
        seconds = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 20))
        self.add_after(key, seconds)
        return seconds

    def longest_wait(self) -> float:
        """Return the seconds that the oldest key waits or is worked on."""
        oldest = min([*self._since.values(), *self._running.values()], default=None)
        return 0.0 if oldest is None else time.monotonic() - oldest

    async def idle(self) -> None:
        """Wait until no key waits for a worker."""
        await self._empty.wait()

    def close(self) -> None:
        """Cancel everything that would come later; nobody takes what waits, so nobody waits for that."""
        for key in list(self._timers):
            self._cancel_timer(key)
        self._empty.set()

    def _become_due(self, key: K) -> None:
        del self._timers[key]
        if key in self._running:
            self._again.add(key)
        elif key not in self._since:
            self._due[key] = None
            self._came(key)

    def _came(self, key: K) -> None:
        self._since[key] = time.monotonic()
        self._empty.clear()
        self._available.release()

    def _take(self) -> K:
        if self._ready and (not self._due or self._passed_over < PASSED_OVER_MAX):
            self._passed_over += bool(self._due)
            return self._ready.popleft()
        self._passed_over = 0
        key = next(iter(self._due))
        del self._due[key]
        return key

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
