"""Both stores the tests run against: a folder, and a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfd_operator.contract.location import S3Location
from pfd_worker.store.objects import DirectoryStore, ObjectStore
from pfd_worker.store.s3 import S3Store
from tests.s3_server import KEYS, S3Server, description_read_once, s3_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(autouse=True, scope="session")
def _description_of_s3_is_read_once() -> Iterator[None]:
    with description_read_once():
        yield


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_location(server: S3Server, credentials: None) -> S3Location:
    return server.make_bucket()


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    return S3Store(request.getfixturevalue("s3_location"))
