"""Answers to /metrics: however many ask, they take a small share of the time in which the Lease is to be renewed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from prometheus_client import generate_latest

from .metrics import Metrics

LARGEST_SHARE = 0.05
"""Of the event loop's time that answers may take."""


class Scrapes:
    """Computes one answer at a time, and rests in between: who asks for the same then is given the last one."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._last: tuple[tuple[str, ...], bytes] | None = None
        self._rested_at = 0.0

    async def text(self, samples: Sequence[str]) -> bytes:
        """Return these samples in Prometheus' words, all if none is named."""
        names = tuple(samples)
        async with self._turn:
            rest = self._rested_at - time.monotonic()
            if rest > 0 and self._last is not None and self._last[0] == names:
                return self._last[1]
            await asyncio.sleep(max(0.0, rest))
            started = time.monotonic()
            self._last = names, generate_latest(self._metrics.named(names))
            ended = time.monotonic()
            self._rested_at = ended + (ended - started) * (1 / LARGEST_SHARE - 1)
            return self._last[1]
