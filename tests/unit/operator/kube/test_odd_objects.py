"""An object that nobody thought of is logged and ignored; the informer goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from pfd_operator.kube.api import KubeApi
from pfd_operator.kube.informer import Informer, Watched
from pfd_operator.kube.owner import Owner

OWNER = Owner("lab", "uid")


@dataclass(frozen=True)
class Seen:
    key: tuple[str, str]
    owner: Owner
    value: int


def parse(item: Mapping[str, Any]) -> Seen | None:
    metadata = item["metadata"]
    return Seen((metadata["namespace"], metadata["name"]), OWNER, int(item["value"]))


def thing(name: str, value: str = "1") -> dict[str, Any]:
    return {"metadata": {"namespace": "lab", "name": name, "resourceVersion": "5"}, "value": value}


class Server:
    """Lists some things, then tells of some events."""

    pages = KubeApi.pages

    def __init__(self, listed: list[dict[str, Any]], *events: tuple[str, dict[str, Any]]) -> None:
        self.listed = listed
        self.events = events

    async def request(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"items": self.listed, "metadata": {"resourceVersion": "5"}}

    async def lines(self, *_: Any) -> AsyncIterator[bytes]:
        for kind, item in self.events:
            yield json.dumps({"type": kind, "object": item}).encode()


async def followed(server: Server) -> tuple[Informer[Seen], list[tuple[Seen, Seen | None]]]:
    """Return the informer after one list and one watch, and what it told of."""
    told: list[tuple[Seen, Seen | None]] = []
    api = cast(KubeApi, server)
    informer = Informer(api, Watched("/things", "ours", parse), lambda item, before: told.append((item, before)))
    await informer._list()
    await informer._watch(300)
    return informer, told


async def test_an_odd_object_is_logged_and_ignored(caplog: pytest.LogCaptureFixture) -> None:
    events = [("ADDED", thing("b", "odd")), ("DELETED", thing("b", "odd")), ("ADDED", thing("c"))]
    informer, told = await followed(Server([thing("a"), thing("odd", "odd")], *events))
    assert [item.key[1] for item in informer.owned_by(OWNER)] == ["a", "c"]
    assert [item.key[1] for item, _ in told] == ["a", "c"]
    assert "lab/odd of /things cannot be read and is ignored" in caplog.text


async def test_one_that_becomes_odd_is_ours_no_more() -> None:
    informer, told = await followed(Server([thing("a")], ("MODIFIED", thing("a", "odd"))))
    assert len(informer) == 0
    before = Seen(("lab", "a"), OWNER, 1)
    assert told == [(before, None), (before, before)]
