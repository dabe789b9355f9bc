"""Where `kubectl pfd fetch` looks for a job's results, and with whose keys."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from pfd_operator.api.kinds import KINDS
from pfd_operator.cli import main as command
from pfd_operator.cli.reading import CannotShow
from pfd_operator.cli.results import Results, results_of
from pfd_operator.kube.api import ApiError, KubeApi

S3 = {"bucket": "pfd", "prefix": "silicon", "endpoint": "http://s3.lab.svc:9000", "credentialsSecret": "pfd-s3"}
MODEL = {"uri": "s3://pfd/silicon/stages/ab12/attempts/u-a1-f00/best.pt", "iteration": 2}
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "never-printed"}


def encoded(keys: Mapping[str, str]) -> dict[str, str]:
    return {name: b64encode(value.encode()).decode() for name, value in keys.items()}


class Server:
    """Has one job, and what it names."""

    default_namespace = "lab"

    def __init__(self, kind: str, s3: Mapping[str, Any], status: Mapping[str, Any], has: Mapping[str, Any]) -> None:
        job = {
            "kind": kind,
            "metadata": {"namespace": "lab", "name": "silicon"},
            "spec": {"artifacts": {"s3": s3}},
            "status": status,
        }
        self.has = {f"{KINDS[kind].plural}/silicon": job, **has}

    async def request(self, _: str, path: str) -> dict[str, Any]:
        assert "/namespaces/lab/" in path
        found = self.has.get("/".join(path.split("/")[-2:]), ApiError(404, "NotFound", f"{path} not found"))
        if isinstance(found, ApiError):
            raise found
        return cast(dict[str, Any], found)

    async def close(self) -> None:
        pass


async def found(
    kind: str = "FineTuneJob",
    s3: Mapping[str, Any] = S3,
    phase: str = "Converged",
    model: Any = MODEL,
    has: Mapping[str, Any] = {},
) -> Results:
    status = {"phase": phase, "model": model}
    return await results_of(cast(KubeApi, Server(kind, s3, status, has)), "lab", "silicon")


@pytest.mark.parametrize("kind", ["FineTuneJob", "DistillJob"])
@pytest.mark.parametrize("prefix", ["silicon", "/silicon/", "", "stages/of/stages"])
async def test_the_stage_that_made_the_model_is_found(kind: str, prefix: str) -> None:
    uri = "/".join(part for part in ("s3://pfd", prefix.strip("/"), "stages/ab12/attempts/u-a1-f00/best.pt") if part)
    results = await found(
        kind, {**S3, "prefix": prefix}, model={**MODEL, "uri": uri}, has={"secrets/pfd-s3": {"data": encoded(KEYS)}}
    )
    assert results.folder == "stages/ab12"
    assert results.model == f"{kind} lab/silicon (Converged): model of iteration 2"
    assert results.keys == {"aws_access_key_id": "id", "aws_secret_access_key": "never-printed"}
    assert results.whose_keys == "the keys of Secret pfd-s3"
    assert "never-printed" not in repr(results)


async def test_of_a_running_job_it_is_the_best_so_far() -> None:
    results = await found(phase="Running")
    assert results.model == "FineTuneJob lab/silicon (Running): model of iteration 2, the best so far"


@pytest.mark.parametrize(
    ("phase", "said"), [("Running", "it will have one after its first training"), ("Failed", "it ended without one")]
)
async def test_a_job_without_a_model_says_so(phase: str, said: str) -> None:
    with pytest.raises(CannotShow, match=rf"FineTuneJob lab/silicon \({phase}\) has no model: {said}"):
        await found(phase=phase, model=None)


async def test_a_model_elsewhere_is_not_looked_for() -> None:
    with pytest.raises(CannotShow, match="is not below s3://pfd/silicon/stages/"):
        await found(model={**MODEL, "uri": "s3://other/silicon/stages/ab12/attempts/a/best.pt"})


@pytest.mark.parametrize("status", [403, 404])
async def test_who_may_not_read_the_secret_uses_their_own_keys(status: int, capsys: pytest.CaptureFixture[str]) -> None:
    results = await found(has={"secrets/pfd-s3": ApiError(status, "No", "secrets is out of reach")})
    assert (results.keys, results.whose_keys) == ({}, "your own AWS environment")
    assert "not read, but your own AWS environment: secrets is out of reach" in capsys.readouterr().err


async def test_temporary_keys_have_a_token_and_a_ca_bundle_is_the_jobs() -> None:
    keys = {**KEYS, "AWS_SESSION_TOKEN": "token", "OTHER": "x"}
    results = await found(
        s3={**S3, "caBundleConfigMap": "s3-ca"},
        has={"secrets/pfd-s3": {"data": encoded(keys)}, "configmaps/s3-ca": {"data": {"ca.crt": "PEM"}}},
    )
    assert set(results.keys) == {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"}
    assert results.ca_bundle == "PEM"


@pytest.mark.parametrize("field", ["credentialsSecret", "caBundleConfigMap"])
async def test_no_object_of_another_namespace_is_read(field: str) -> None:
    """Who fetches may read more than who wrote the job."""
    with pytest.raises(CannotShow, match=rf"^spec\.artifacts\.s3\.{field}: "):
        await found(s3={**S3, field: "../../vault/secrets/keys"}, has={"secrets/keys": {"data": encoded(KEYS)}})


@pytest.mark.parametrize("secret", [{}, {"data": encoded(dict.fromkeys(KEYS, ""))}], ids=["none", "empty"])
async def test_a_secret_without_keys_is_named(secret: dict[str, Any]) -> None:
    with pytest.raises(CannotShow, match="Secret pfd-s3 in namespace lab has no AWS_ACCESS_KEY_ID and no AWS_SECRET"):
        await found(has={"secrets/pfd-s3": secret})


async def test_a_secret_with_a_key_that_cannot_be_sent_is_named() -> None:
    keys = {**KEYS, "AWS_SESSION_TOKEN": "never-printed\n"}
    said = "^Secret pfd-s3 in namespace lab: AWS_SESSION_TOKEN ends in a line break"
    with pytest.raises(CannotShow, match=said) as caught:
        await found(has={"secrets/pfd-s3": {"data": encoded(keys)}})
    assert "never-printed" not in str(caught.value)


async def test_a_secret_of_a_shell_that_writes_utf_16_is_named() -> None:
    data = encoded(KEYS) | {"AWS_SECRET_ACCESS_KEY": b64encode("never-printed".encode("utf-16")).decode()}
    with pytest.raises(CannotShow, match="AWS_SECRET_ACCESS_KEY has a character in it that cannot be printed"):
        await found(has={"secrets/pfd-s3": {"data": data}})


async def test_a_config_map_without_a_bundle_is_named() -> None:
    with pytest.raises(CannotShow, match=r"ConfigMap s3-ca in namespace lab has no ca\.crt"):
        await found(
            s3={"bucket": "pfd", "caBundleConfigMap": "s3-ca"},
            model={**MODEL, "uri": "s3://pfd/stages/a/b"},
            has={"configmaps/s3-ca": {}},
        )


async def test_a_store_of_a_newer_operator_asks_for_an_upgrade() -> None:
    with pytest.raises(CannotShow, match=r"spec\.artifacts\.s3\.mirror: .* upgrade kubectl-pfd"):
        await found(s3={**S3, "mirror": "x"})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("FineTuneJob", {"bucket": "pfd", "prefix": "silicon"}, {"phase": "Converged", "model": MODEL}, {})

    async def connect(*_: object) -> Server:
        return server

    monkeypatch.setattr("pfd_operator.kube.api.KubeApi.connect", connect)


@pytest.mark.usefixtures("cluster")
def test_without_boto3_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "pfd_operator.cli.fetch", raising=False)
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    assert command.main(["fetch", "silicon"]) == 1
    assert capsys.readouterr().err == "kubectl pfd: fetch needs boto3: pip install '.[cli]' in the checkout\n"


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("options", "wanted", "directory"),
    [
        ([], [], "silicon"),
        (["elsewhere", "--reports"], ["report.html", "report.json", "history.json"], "elsewhere"),
        (["--labels"], ["dataset.extxyz", "holdout.extxyz"], "silicon"),
    ],
)
def test_options_say_what_comes_and_where(
    monkeypatch: pytest.MonkeyPatch, options: list[str], wanted: list[str], directory: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("pfd_operator.cli.fetch.fetch", lambda *given, **how: asked.append((*given[1:3], how)))
    kubectl = ["--context", "lab", "--endpoint-url", "http://localhost:9000"]
    assert command.main(["fetch", "ftj/silicon", *options, *kubectl]) == 0
    assert asked == [(Path(directory), wanted, {"endpoint": "http://localhost:9000", "kubectl": ["--context=lab"]})]
