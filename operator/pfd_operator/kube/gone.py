"""Custom resources that were deleted while nobody watched: a list made anew tells what is there, not what went."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from pfd_operator.api.kinds import KINDS

from .api import JSON, ApiError, KubeApi
from .resources import Key, collection_path
from .store import ResourceStore

log = logging.getLogger(__name__)

METADATA_ONLY = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
AFTER_SECONDS = 30.0
"""So long after the first resource of a list: once for all of them."""


class Sweep:
    """Forgets resources that are gone, when asked to.

    Parameters
    ----------
    api
        Where to list what is there.
    store
        What is held.
    namespaces
        Those that are served; empty for all.
    gone
        Called with the key of each resource that is forgotten.
    """

    def __init__(
        self, api: KubeApi, store: ResourceStore, namespaces: Sequence[str], gone: Callable[[Key], None]
    ) -> None:
        self._api = api
        self._store = store
        self._scopes: list[str | None] = [*namespaces] or [None]
        self._gone = gone
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Sweep a little later, once however often this is asked for until then."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._sweep())

    def cancel(self) -> None:
        """Leave a sweep that was asked for undone."""
        if self._task is not None:
            self._task.cancel()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(AFTER_SECONDS)
            # noted before the lists are made: what comes meanwhile is not in them
            held = self._store.uids()
            try:
                there = {uid for kind in KINDS for scope in self._scopes for uid in await self._uids(kind, scope)}
            except ApiError as error:
                log.warning("which resources were deleted while the watch was cut is not known yet: %s", error)
            else:
                break
        for uid, key in held.items():
            if uid not in there:
                log.info("%s was deleted while the watch was cut", "/".join(key))
                self._store.remove(key, uid)
                self._gone(key)

    async def _uids(self, kind: str, namespace: str | None) -> list[str]:
        pages = self._api.pages(collection_path(kind, namespace), {}, METADATA_ONLY)
        # null in an empty list of metadata
        return [item["metadata"]["uid"] async for page in pages for item in page.get("items") or ()]
