"""The API server's clock: what is compared with now (creation, deletion, backoff) was written by it, or by this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WINDOW_SECONDS = 60.0
"""How long answers may all be behind before their clock is taken to have been set back: some are only slow."""
HALF_A_SECOND = 0.5
"""An answer's Date is cut to the second."""


class ServerClock:
    """Our monotonic clock, set by the Date of the server's answers: the wall clock of our node may jump or be wrong.

    Parameters
    ----------
    monotonic
        In s.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead: float | None = None
        """The server's time since the epoch less the monotonic clock, in s; None before the first answer."""
        self._newest = -float("inf")
        """The largest of this window."""
        self._window_began = monotonic()

    def answered(self, date: str | None) -> None:
        """Take the Date of an answer that has just come: the server's time when it was written, or a little before."""
        if date is None:
            return
        try:
            told = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        now = self._monotonic()
        ahead = told + HALF_A_SECOND - now
        self._newest = max(self._newest, ahead)
        if self._ahead is None or ahead > self._ahead:
            self._ahead = ahead
        if now - self._window_began > WINDOW_SECONDS:
            self._ahead, self._newest, self._window_began = self._newest, -float("inf"), now

    def now(self) -> datetime:
        """Return the server's time; our own before it has answered."""
        if self._ahead is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._monotonic() + self._ahead, UTC)
