"""List and watch one kind of object into a cache: survives cut watches, expired versions and server restarts."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from .api import ApiError, KubeApi
from .history import check_goes_on
from .nesting import read_json
from .owner import Owner
from .reading import kept_of, name_of

log = logging.getLogger(__name__)

SILENCE_SECONDS = 90.0
"""After so much silence a watch is opened anew: it may be idle, or dead whatever TCP thinks."""
LONGEST_BACKOFF_SECONDS = 30.0
SHORTEST_WATCH_SECONDS = 1.0
"""One that ends sooner failed: a proxy may answer for a server that is not there, and close."""
_ENDED = "WatchEnded"


class Cached(Protocol):
    """What a cache holds: the trimmed form of an object, findable by its name and by its owner."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""

    @property
    def owner(self) -> Owner:
        """What it is indexed under."""


T = TypeVar("T", bound=Cached)


@dataclass(frozen=True)
class Watched(Generic[T]):
    """What an informer watches and how it is trimmed.

    Parameters
    ----------
    path
        Path of the collection, e.g. /apis/batch/v1/jobs.
    label_selector
        Only objects with these labels are sent by the server.
    parse
        Full object → what is kept of it; None for objects that are not ours after all. An object for which it raises is
        not ours either.
    """

    path: str
    label_selector: str
    parse: Callable[[Mapping[str, Any]], T | None]


class Informer(Generic[T]):
    """A cache of objects that follows the API server.

    Parameters
    ----------
    api
        Where to list and watch.
    watched
        What to list and watch.
    changed
        Called whenever an object came, changed or went, with its newest form that is known and the one before (None
        for one that came).
    silence_seconds
        A watch that sends nothing for this long, bookmarks included, is opened anew.
    relisted
        Called when a list was made anew, since the watch was cut for so long that it could not go on.
    """

    def __init__(
        self,
        api: KubeApi,
        watched: Watched[T],
        changed: Callable[[T, T | None], None],
        silence_seconds: float = SILENCE_SECONDS,
        relisted: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._watched = watched
        self._changed = changed
        self._silence_seconds = silence_seconds
        self._relisted = relisted
        self._objects: dict[tuple[str, str], T] = {}
        self._by_owner: dict[Owner, set[tuple[str, str]]] = defaultdict(set)
        self._version = ""
        self.synced = asyncio.Event()
        self.heard_at = time.monotonic()
        self.relists = 0
        self.denied = False
        """Whether the API server's last answer was that it is not allowed."""

    @property
    def path(self) -> str:
        """The collection that is watched."""
        return self._watched.path

    def __len__(self) -> int:
        return len(self._objects)

    def owned_by(self, owner: Owner) -> list[T]:
        """Return the objects of one owner, ordered by name."""
        return [self._objects[key] for key in sorted(self._by_owner.get(owner, ()))]

    def get(self, namespace: str, name: str) -> T | None:
        """Return one object."""
        return self._objects.get((namespace, name))

    def silent_for(self) -> float:
        """Return the seconds since the API server was last heard."""
        return time.monotonic() - self.heard_at

    async def run(self) -> None:
        """Follow the API server until cancelled.

        Raises
        ------
        StorageRestored
            If the server's storage was restored from a backup.
        """
        failures, cut = 0, False
        while True:
            opened_at = time.monotonic()
            # ended by the server at different times, so that informers do not reconnect in step
            asked_seconds = random.randint(240, 480)
            try:
                if not self._version:
                    await self._list()
                elif cut:
                    await self._check_goes_on()
                cut = True
                await self._watch(asked_seconds)
                self.denied = False
                lasted_seconds = time.monotonic() - opened_at
                # a silent one was not cut: on an idle cluster it is one of many, and to ask each time would be requests
                cut = lasted_seconds < asked_seconds - 1 and self.silent_for() < self._silence_seconds
                if lasted_seconds < SHORTEST_WATCH_SECONDS:
                    raise ApiError(0, _ENDED, f"watch {self.path}: ended by the server as soon as it was opened")
                failures = 0
            except ApiError as error:
                self.denied = error.status == 403
                if error.status == 410:
                    self._version = ""
                # a watch that was heard since it was opened did not fail, it broke
                broke = self.heard_at > opened_at and error.status != 410 and error.reason != _ENDED
                failures = 0 if broke else failures + 1
                delay = min(LONGEST_BACKOFF_SECONDS, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
                log.warning("%s; again in %.1f s", error, delay)
                await asyncio.sleep(delay)

    async def _check_goes_on(self) -> None:
        # a watch from a version that the server has not reached tells nothing until it has, not even that it waits;
        # no selector: for the one object that is ours, or none, the server might read all there are
        page = await self._api.request("GET", self.path, query={"limit": "1"})
        check_goes_on(self.path, int(self._version), int(page["metadata"]["resourceVersion"]))

    async def _list(self) -> None:
        listed: dict[tuple[str, str], T] = {}
        version = ""
        async for page in self._api.pages(self._watched.path, {"labelSelector": self._watched.label_selector}):
            self.heard_at = time.monotonic()
            version = page["metadata"]["resourceVersion"]
            for item in page.get("items", []):
                parsed = kept_of(self._watched.parse, item, self.path)
                if parsed is not None:
                    listed[parsed.key] = parsed
        self._replace(listed)
        self._version = version
        self.relists += 1
        self.synced.set()
        if self.relists > 1:
            self._relisted()

    async def _watch(self, seconds: int) -> None:
        query = {
            "watch": "true",
            "labelSelector": self._watched.label_selector,
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        async for line in self._api.lines(self._watched.path, query, self._silence_seconds):
            self.heard_at = time.monotonic()
            if line.strip():
                self._take(read_json(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, item = event.get("type"), event.get("object", {})
        if kind == "ERROR":
            raise ApiError(int(item.get("code", 500)), str(item.get("reason", "")), str(item.get("message", "")))
        self._version = item["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        parsed, key = kept_of(self._watched.parse, item, self.path), name_of(item)
        before = self._objects.get(key)
        if kind == "DELETED" or parsed is None:
            self._remove(key)
        elif before == parsed:
            # a change of what nobody here decides on, such as a finalizer or a heartbeat
            return
        else:
            self._keep(parsed)
        newest = before if parsed is None else parsed
        if newest is not None:
            self._changed(newest, before)

    def _replace(self, listed: Mapping[tuple[str, str], T]) -> None:
        gone = [(item, item) for key, item in self._objects.items() if key not in listed]
        news = [(item, self._objects.get(key)) for key, item in listed.items() if self._objects.get(key) != item]
        for item, _ in gone:
            self._remove(item.key)
        for item, _ in news:
            self._keep(item)
        # told when all is known, since whoever is told looks at the whole
        for item, before in [*gone, *news]:
            self._changed(item, before)

    def _keep(self, item: T) -> None:
        self._remove(item.key)
        self._objects[item.key] = item
        self._by_owner[item.owner].add(item.key)

    def _remove(self, key: tuple[str, str]) -> None:
        old = self._objects.pop(key, None)
        if old is None:
            return
        keys = self._by_owner[old.owner]
        keys.discard(key)
        if not keys:
            del self._by_owner[old.owner]
