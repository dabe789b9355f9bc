"""A real S3 server on a free port: versitygw over a folder."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3.session
import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from pfd_operator.contract.location import S3Location
from tests.free_ports import free_port

ROOT = Path(__file__).parents[1]
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret"}


@dataclass(frozen=True)
class S3Server:
    """Where it listens."""

    endpoint: str
    folder: Path
    """Of the buckets, each a folder."""

    def make_bucket(self) -> S3Location:
        """Return a place in a bucket of its own."""
        bucket = f"pfd-{uuid.uuid4().hex[:12]}"
        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket=bucket)
        return S3Location(bucket=bucket, prefix="a/prefix", endpoint=self.endpoint)


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Serve a folder; the server's log lies beside it."""
    port = free_port()
    secrets = {"ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    log_file = folder.with_name(f"{folder.name}.log")
    with log_file.open("w") as log:
        command = [str(versitygw()), "--port", f"127.0.0.1:{port}", "posix", str(folder)]
        server = subprocess.Popen(command, env=os.environ | secrets, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _answering(S3Server(f"http://127.0.0.1:{port}", folder), log_file)
    finally:
        server.terminate()
        server.wait()


@contextmanager
def description_read_once() -> Iterator[None]:
    """Let all clients have one description of S3, which else takes each of them a second to read."""
    loader = botocore.session.get_session().get_component("data_loader")
    session = boto3.session.Session

    def with_loader(**options: Any) -> boto3.session.Session:
        core = botocore.session.get_session()
        core.register_component("data_loader", loader)
        # another fixture may have done the same before
        return session(**{"botocore_session": core, **options})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boto3.session.Session", with_loader)
        yield


def versitygw() -> Path:
    """Return the server's binary, of the version that the image has, built once into the cache."""
    build = [str(ROOT / "hack/devcluster/tools.sh"), "versitygw"]
    return Path(subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


def _answering(server: S3Server, log_file: Path) -> S3Server:
    for _ in range(500):
        try:
            server.make_bucket()
        except (BotoCoreError, ClientError):
            time.sleep(0.02)
        else:
            return server
    raise AssertionError(f"the S3 server did not start: {log_file.read_text()}")
