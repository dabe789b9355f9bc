"""Both stores the tests run against: a folder, and a real S3 server on a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from pfd_operator.contract.settings import S3Location
from pfd_worker.store.objects import DirectoryStore, ObjectStore
from pfd_worker.store.s3 import S3Store

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret"}


@dataclass(frozen=True)
class S3Server:
    endpoint: str

    def make_bucket(self) -> S3Location:
        bucket = f"pfd-{uuid.uuid4().hex[:12]}"
        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket=bucket)
        return S3Location(bucket=bucket, prefix="a/prefix", endpoint=self.endpoint)


def versitygw() -> Path:
    """The server's binary, built once into the cache."""
    cache = Path(os.environ.get("PFD_CACHE", Path.home() / ".cache/pfd-operator")) / "bin"
    binary = cache / "versitygw"
    if not binary.exists():
        go = shutil.which("go") or "/usr/local/go/bin/go"
        environment = os.environ | {"GOBIN": str(cache), "CGO_ENABLED": "0", "GOTOOLCHAIN": "auto"}
        subprocess.run([go, "install", "-trimpath", VERSITYGW], env=environment, check=True)
    return binary


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("s3")
    environment = os.environ | {"ROOT_ACCESS_KEY": "tester", "ROOT_SECRET_KEY": "tester-secret"}
    with (folder.parent / "s3.log").open("w") as log:
        server = subprocess.Popen(
            [versitygw(), "--port", f"127.0.0.1:{port}", "posix", folder],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    found = S3Server(f"http://127.0.0.1:{port}")
    try:
        for _ in range(100):
            try:
                found.make_bucket()
                break
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
        else:
            raise AssertionError(f"the S3 server did not start: {(folder.parent / 's3.log').read_text()}")
        yield found
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3_location(s3_server: S3Server, credentials: None) -> S3Location:
    return s3_server.make_bucket()


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    return S3Store(request.getfixturevalue("s3_location"))
