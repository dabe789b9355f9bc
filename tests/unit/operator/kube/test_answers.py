"""Answers of the API server that are odd: nested deeply, or none of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.aio import client

from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.nesting import DEEPEST_READ, readable


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Bytes that are answered to all requests, the first of them."""
    given: list[bytes] = []

    async def exchange(*_: Any) -> bytes:
        return given[0]

    monkeypatch.setattr(KubeApi, "_exchange", exchange)
    return given


async def test_an_answer_may_nest_as_deeply_as_the_api_server_lets_it(answers: list[bytes]) -> None:
    levels = 10_000
    deep = b'{"a": "}\\"", "b": ' * levels + b"0" + b"}" * levels
    answers.append(b'{"metadata": {}, "items": [' + deep + b', {"c": [1, {}]}]}')
    api = KubeApi(client.ApiClient(client.Configuration()))
    (page,) = [page async for page in api.pages("/apis/pfd.dev/v1alpha1/finetunejobs", {})]
    value, others = page["items"]
    for _ in range(DEEPEST_READ - 2):
        assert value["a"] == '}"'
        value = value["b"]
    assert (value, others) == (None, {"c": [1, {}]})


@pytest.mark.parametrize("levels", [DEEPEST_READ, 10_000], ids=["as deep as is kept", "deeper than any reader goes"])
def test_what_is_nested_too_deeply_for_readers_is_cut_and_all_else_is_left(levels: int) -> None:
    text = b'{"items": [{"a": 1}], "b": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
    assert (readable(text) == text) == (levels == DEEPEST_READ)
    assert json.loads(readable(text))["items"] == [{"a": 1}]


@pytest.mark.parametrize(
    "payload",
    [b"<html>log in</html>", b"[1]", b'"words"', b"\xff", b"[" * 100_000],
    ids=["page", "list", "text", "bytes", "endless"],
)
async def test_what_cannot_be_read_is_no_answer(answers: list[bytes], payload: bytes) -> None:
    answers.append(payload)
    api = KubeApi(client.ApiClient(client.Configuration()))
    with pytest.raises(ApiError, match=r"^GET /apis/x: the answer cannot be read as a JSON object") as refused:
        await anext(api.pages("/apis/x", {}))
    assert (refused.value.status, refused.value.reason) == (0, "Unreadable")
    answers[0] = json.dumps({"kind": "Status"}).encode()
    assert await api.request("DELETE", "/apis/x") == {"kind": "Status"}


async def test_a_page_of_objects_as_large_as_the_api_server_takes_them_fits_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever may make pods may make them so large, with our labels."""
    asked: list[int] = []

    async def exchange(self: KubeApi, method: str, path: str, body: None, query: dict[str, str], *_: Any) -> bytes:
        asked.append(int(query["limit"]))
        return b'{"metadata": {}, "items": []}'

    monkeypatch.setattr(KubeApi, "_exchange", exchange)
    api = KubeApi(client.ApiClient(client.Configuration()))
    assert [page["items"] async for page in api.pages("/api/v1/pods", {})] == [[]]
    (limit,) = asked
    largest_mib = 1.5
    assert limit * largest_mib <= 32
