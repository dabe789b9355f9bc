"""An owner of claims says that it lives, and what its end would cut off: by one object, told anew now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import replace

from pfd_operator.contract.result import ExitCode
from pfd_worker.errors import StageError
from pfd_worker.store.labels import LabelStore, LastWords

_TELL_SECONDS = 20.0
_log = logging.getLogger(__name__)


class Lease:
    """What keeps the claims of one owner alive.

    Until it is told what is computed, it repeats what the attempt before has said: should this one be killed while it
    takes over, or stopped, the next knows what that had cut off.

    Parameters
    ----------
    labels
        Of the owner.
    stopping
        Set when the process is told to stop.
    """

    def __init__(self, labels: LabelStore, stopping: threading.Event) -> None:
        self._labels = labels
        self._stopping = stopping
        self.before = labels.last_words(labels.owner)
        """What the attempt before has said, if it did not leave."""
        self._words = self.before
        self._computes = False
        self._told: LastWords | None = None
        self._told_at = 0.0
        self._telling = threading.Lock()

    def computes(self, keys: Collection[str]) -> None:
        """Say what is computed from now on."""
        with self._telling:
            self._words, self._computes = LastWords(list(keys)), True
            self._tell_news()

    def took_over(self, key: str) -> None:
        """Say no more of what the attempt before has computed."""
        with self._telling:
            if self._words.computing is not None:
                self._words = replace(self._words, computing=[each for each in self._words.computing if each != key])
            self._tell_news()

    def keep(self) -> None:
        """Keep all claims alive, now and then; say at once that we were told to stop."""
        with self._telling:
            self._tell_news()

    def give_up(self) -> None:
        """Say that the end that comes now is no calculation's fault.

        Raises
        ------
        StageError
            If the store does not take it.
        """
        with self._telling:
            self._words = replace(self._words, stopping=self._words.stopping or self._computes)
            self._labels.tell(self._words)

    def leave(self) -> None:
        """Say no more, unless something of what the attempt before has computed was not taken over."""
        if self._computes or self._words.computing == []:
            self._labels.leave()

    def _tell_news(self) -> None:
        stopping = self._words.stopping or (self._computes and self._stopping.is_set())
        words = replace(self._words, stopping=stopping)
        if words == self._told and time.monotonic() - self._told_at <= _TELL_SECONDS:
            return
        self._told, self._told_at = words, time.monotonic()
        try:
            self._labels.tell(words)
        except StageError as error:
            if error.exit_code is not ExitCode.TRANSIENT:
                raise
            # no reason to give up a calculation of hours that needs no store now
            _log.warning("claims are not renewed: %s", error.message)
