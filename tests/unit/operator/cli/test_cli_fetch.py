"""`kubectl pfd fetch`, from a real S3 server: what comes, what is left, and what a manifest cannot do."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import EndpointConnectionError, HTTPClientError

from pfd_operator.api.job import S3Artifacts
from pfd_operator.cli.fetch import LABELS, REPORT, fetch
from pfd_operator.cli.reading import CannotShow
from pfd_operator.cli.results import Results
from pfd_operator.contract.location import S3Location
from pfd_operator.contract.result import StageResult
from pfd_operator.kube.resources import Key
from pfd_worker import stage_files
from pfd_worker.store.manifests import Manifest, StoredFile, commit_manifest, store_file
from pfd_worker.store.s3 import S3Store
from tests.s3_server import KEYS, S3Server, description_read_once, s3_server

MODEL = b"model" * 500_000
FILES = {"best.pt": MODEL, "report.html": b"page", "report.json": b"{}", "history.json": b"[]"}
FRAMES = {"dataset.extxyz": b"frames", "holdout.extxyz": b"others"}
FOLDER = "stages/abc/attempts/one"
JOBS_KEYS = {name.lower(): value for name, value in KEYS.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with description_read_once(), s3_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture
def place(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Location:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return server.make_bucket()


def commit(store: S3Store, files: dict[str, StoredFile]) -> None:
    commit_manifest(store, Manifest("abc", "train", None, files, {}, StageResult(ok=True)))


@pytest.fixture
def store(place: S3Location, tmp_path: Path) -> S3Store:
    """What a train stage has left."""
    found, files = S3Store(place, patience_seconds=0), {}
    for name, content in (FILES | FRAMES).items():
        (tmp_path / name).write_bytes(content)
        files[name] = store_file(found, tmp_path / name, f"{FOLDER}/{name}")
    commit(found, files)
    return found


def results(place: S3Location, keys: Mapping[str, str] = JOBS_KEYS) -> Results:
    return Results(
        key=Key("FineTuneJob", "lab", "silicon"),
        model="FineTuneJob lab/silicon (Converged): model of iteration 2",
        s3=S3Artifacts.model_validate(place.model_dump()),
        folder="stages/abc",
        keys=keys,
        whose_keys="the keys of Secret pfd-s3",
        ca_bundle=None,
    )


def fetched(place: S3Location, directory: Path, *wanted: str, **how: Any) -> str:
    out = io.StringIO()
    fetch(results(place), directory, wanted, out, **how)
    return out.getvalue()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_everything_beside_the_model_comes_and_what_is_there_is_left(
    place: S3Location, store: S3Store, tmp_path: Path
) -> None:
    directory = tmp_path / "new" / "silicon"
    said = fetched(place, directory).splitlines()
    assert contents(directory) == FILES | FRAMES
    assert said[0].startswith(
        f"FineTuneJob lab/silicon (Converged): model of iteration 2: 6 files, 2.5 MB, into {directory}"
    )
    assert "best.pt  2.5 MB, fetched" in said
    (directory / "dataset.extxyz").write_bytes(b"framed")
    (directory / "report.html").unlink()
    os.utime(directory / "best.pt", (1, 1))
    said = fetched(place, directory).splitlines()
    assert contents(directory) == FILES | FRAMES
    assert "best.pt  2.5 MB, already there" in said
    assert [line.split()[0] for line in said if line.endswith("fetched")] == ["report.html", "dataset.extxyz"]
    assert (directory / "best.pt").stat().st_mtime == 1


def test_a_terminal_sees_how_far_a_file_is(place: S3Location, store: S3Store, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    fetch(results(place), tmp_path / "silicon", ["best.pt"], out)
    shown = out.getvalue().splitlines()[1:]
    assert shown[0].startswith("best.pt  2.5 MB, 4")
    assert shown[-2:] == ["best.pt  2.5 MB, 100 %", "best.pt  2.5 MB, fetched"]


def test_report_and_labels_can_be_had_alone(place: S3Location, store: S3Store, tmp_path: Path) -> None:
    assert set(REPORT) == {stage_files.HISTORY, stage_files.REPORT_JSON, stage_files.REPORT_PAGE}
    assert set(LABELS) == {stage_files.DATASET, stage_files.HOLD_OUT}
    fetched(place, tmp_path / "report", *REPORT)
    assert set(contents(tmp_path / "report")) == set(REPORT)
    fetched(place, tmp_path / "labels", *LABELS)
    assert contents(tmp_path / "labels") == FRAMES


def test_labels_that_an_older_version_left_elsewhere_are_said_to_be_missing(place: S3Location, tmp_path: Path) -> None:
    store = S3Store(place, patience_seconds=0)
    (tmp_path / "frozen.pth").write_bytes(MODEL)
    commit(store, {"frozen.pth": store_file(store, tmp_path / "frozen.pth", f"{FOLDER}/frozen.pth")})
    fetched(place, tmp_path / "student")
    with pytest.raises(CannotShow, match=r"no dataset\.extxyz and no holdout\.extxyz beside"):
        fetched(place, tmp_path / "student", *LABELS)
    assert contents(tmp_path / "student") == {"frozen.pth": MODEL}


@pytest.mark.parametrize("content", [MODEL[::-1], MODEL + b"more", MODEL[:-1]])
def test_what_is_not_as_its_manifest_says_is_not_kept(
    place: S3Location, store: S3Store, tmp_path: Path, content: bytes
) -> None:
    store.put(f"{FOLDER}/best.pt", content)
    with pytest.raises(
        CannotShow, match=r"s3://\S+/a/prefix/stages/abc/attempts/one/best.pt is (not what|larger than)"
    ):
        fetched(place, tmp_path / "silicon")
    assert contents(tmp_path / "silicon") == {}


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", "..", ".ssh", "", "a\x1b[2J", "a\nb", "best.pt\n"])
def test_no_name_leads_out_of_the_directory(place: S3Location, tmp_path: Path, name: str) -> None:
    store = S3Store(place, patience_seconds=0)
    (tmp_path / "evil").write_bytes(b"evil")
    commit(store, {name: store_file(store, tmp_path / "evil", f"{FOLDER}/evil")})
    with pytest.raises(CannotShow, match=r"manifest\.json is no manifest"):
        fetched(place, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"files": {"a": {"key": "a", "sha256": "", "bytes": -1}}}'])
def test_what_is_no_manifest_is_said_to_be_none(place: S3Location, tmp_path: Path, content: bytes) -> None:
    S3Store(place, patience_seconds=0).put("stages/abc/manifest.json", content)
    with pytest.raises(CannotShow, match=r"manifest\.json is no manifest"):
        fetched(place, tmp_path / "new")


def own(place: S3Location) -> Results:
    return replace(results(place, {}), whose_keys="your own AWS environment")


@pytest.mark.parametrize("given", [None, ""])
def test_own_keys_are_sent_nowhere_that_only_the_job_names(
    place: S3Location, store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    def send(*_: object) -> None:
        pytest.fail("nothing is to be sent")

    said = rf"your own AWS environment would sign .*: --endpoint-url {place.endpoint}$"
    with monkeypatch.context() as patch, pytest.raises(CannotShow, match=said):
        patch.setattr("botocore.httpsession.URLLib3Session.send", send)
        fetch(own(place), tmp_path / "silicon", [], io.StringIO(), endpoint=given)
    assert not (tmp_path / "silicon").exists()
    fetch(own(place), tmp_path / "silicon", [], io.StringIO(), endpoint=place.endpoint)
    assert contents(tmp_path / "silicon") == FILES | FRAMES


def test_own_keys_are_sent_to_aws(place: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: object, request: AWSPreparedRequest) -> None:
        raise EndpointConnectionError(endpoint_url=request.url)

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", send)
    with pytest.raises(CannotShow, match=r"at AWS with your own AWS environment: .*amazonaws"):
        fetch(own(place.model_copy(update={"endpoint": None})), tmp_path, [], io.StringIO())


def test_an_own_key_that_cannot_be_sent_is_named(
    place: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "never-printed\n")
    with pytest.raises(
        CannotShow, match=r"^your own AWS environment: AWS_SESSION_TOKEN ends in a line break"
    ) as caught:
        fetch(own(place), tmp_path, [], io.StringIO(), endpoint=place.endpoint)
    assert "never-printed" not in str(caught.value)


def test_a_store_that_refuses_is_quoted_without_the_keys(place: S3Location, tmp_path: Path) -> None:
    wrong = {"aws_access_key_id": "nobody", "aws_secret_access_key": "never-printed"}
    with pytest.raises(CannotShow) as refused:
        fetch(results(place, wrong), tmp_path, [], io.StringIO())
    said = str(refused.value)
    assert f"cannot be read at {place.endpoint} with the keys of Secret pfd-s3: " in said
    assert "No user exists with the provided access key ID" in said
    assert "never-printed" not in said + repr(results(place, wrong))


def test_a_request_that_cannot_be_sent_is_not_quoted(
    place: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(*_: object) -> None:
        raise HTTPClientError(error=ValueError("Invalid header value b'never-printed'"))

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", send)
    with pytest.raises(CannotShow, match=rf"cannot be read at {place.endpoint} with .*: HTTPClientError\.") as caught:
        fetched(place, tmp_path)
    assert "never-printed" not in str(caught.value)


def test_a_model_that_was_deleted_is_said_to_be_gone(place: S3Location, tmp_path: Path) -> None:
    with pytest.raises(CannotShow, match=r"stages/abc/manifest.json cannot be read at .*NoSuchKey"):
        fetched(place, tmp_path)


def test_a_file_in_the_way_is_named(place: S3Location, store: S3Store, tmp_path: Path) -> None:
    (tmp_path / "silicon").write_bytes(b"")
    with pytest.raises(CannotShow, match=rf"{tmp_path}/silicon cannot be written: "):
        fetched(place, tmp_path / "silicon")


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    """Put a kubectl into PATH that writes down what it is asked for."""
    asked = folder / "asked"
    (folder / "bin").mkdir()
    program = folder / "bin" / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {asked}\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return asked


def in_the_cluster(place: S3Location) -> S3Location:
    return place.model_copy(update={"endpoint": "http://store.lab.svc:9000"})


def test_a_store_in_the_cluster_is_reached_by_a_forwarded_port(
    place: S3Location, store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    port = (place.endpoint or "").rpartition(":")[2]
    script = f"echo 'Forwarding from 127.0.0.1:{port} -> 9000'; exec sleep 60"
    asked = kubectl(tmp_path, monkeypatch, script)
    fetched(in_the_cluster(place), tmp_path / "silicon", kubectl=["--context=lab"])
    assert contents(tmp_path / "silicon") == FILES | FRAMES
    assert asked.read_text().split() == [
        *("--context=lab", "--namespace", "lab", "port-forward", "--address", "127.0.0.1", "service/store", ":9000")
    ]


def test_another_address_is_taken_in_place_of_the_jobs(place: S3Location, store: S3Store, tmp_path: Path) -> None:
    fetched(in_the_cluster(place), tmp_path / "silicon", endpoint=place.endpoint)
    assert contents(tmp_path / "silicon") == FILES | FRAMES


def test_kubectl_that_may_not_forward_is_quoted(
    place: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl(tmp_path, monkeypatch, 'echo "Error: services is forbidden" >&2; exit 1')
    with pytest.raises(CannotShow, match=r"says: Error: services is forbidden\. .* --endpoint-url"):
        fetched(in_the_cluster(place), tmp_path / "silicon")


def test_kubectl_that_says_nothing_is_not_waited_for_without_end(
    place: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfd_operator.cli.forwarding._PATIENCE_SECONDS", 0.2)
    # as one for credentials, it has kubectl's stderr, and outlives it
    kubectl(tmp_path, monkeypatch, "sleep 20 >/dev/null &\nexec sleep 600")
    started = time.monotonic()
    with pytest.raises(CannotShow, match=r"says: nothing \(it is waited for 0\.2 s\)\. .* --endpoint-url"):
        fetched(in_the_cluster(place), tmp_path / "silicon")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("localhost:9000", "no address of a store: give it as http://HOST:PORT"),
        ("http://host:port", "no address of a store: "),
        ("https://store.lab.svc", "whose certificate is of no other"),
    ],
)
def test_addresses_that_lead_nowhere_are_refused(place: S3Location, tmp_path: Path, endpoint: str, said: str) -> None:
    with pytest.raises(CannotShow, match=said):
        fetched(place, tmp_path, endpoint=endpoint)


def test_without_kubectl_it_says_so(place: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotShow, match="kubectl does not start: "):
        fetched(in_the_cluster(place), tmp_path / "silicon")
