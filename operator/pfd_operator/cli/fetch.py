"""`kubectl pfd fetch`: a job's model and what lies beside it, out of the object store, each file as its manifest says.

The only module of the operator's package that speaks to an object store; it runs where the user is (ADR 12).
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, TextIO

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from pydantic import BaseModel, Field, NonNegativeInt, StringConstraints, ValidationError

from pfd_operator.contract.s3_keys import unusable_key

from .forwarding import reachable
from .reading import CannotShow
from .results import Results
from .tables import size

REPORT = ("report.html", "report.json", "history.json")
LABELS = ("dataset.extxyz", "holdout.extxyz")
LARGEST_MANIFEST_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_AGAIN = ". The same command goes on with what is missing; --endpoint-url gives another address of the store"

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]


class StoredFile(BaseModel):
    """A file as a manifest lists it."""

    key: str
    sha256: str
    bytes: NonNegativeInt


class Manifest(BaseModel):
    """What a stage has left in the store, as far as it is fetched; whoever may write there may have written it."""

    files: dict[FileName, StoredFile] = Field(min_length=1)


def fetch(
    results: Results,
    directory: Path,
    wanted: Sequence[str],
    out: TextIO,
    *,
    endpoint: str | None = None,
    kubectl: Sequence[str] = (),
) -> None:
    """Bring files of a job's results into a directory; those that are there as they should be are left.

    Parameters
    ----------
    results
        Of the job.
    directory
        Where to; made if it is missing. What it holds under the same names is replaced.
    wanted
        Names of the files; none: all that there are.
    out
        Gets a line for each file, and of a terminal how far it is.
    endpoint
        URL of the store in place of the job's. Without the job's keys it must be given, unless the store is AWS's.
    kubectl
        Options of kubectl, for a store that is reached through it.

    Raises
    ------
    CannotShow
        If the store does not give them, or other ones, or they cannot be written.
    """
    if not results.keys:
        _check_own_keys(results, endpoint)
    try:
        with _store(results, endpoint or results.s3.endpoint, kubectl) as store:
            files = store.manifest().files
            _check_all_are_there(results, wanted, files)
            files = {name: file for name, file in files.items() if not wanted or name in wanted}
            total = size(sum(file.bytes for file in files.values()))
            out.write(f"{results.model}: {len(files)} files, {total}, into {directory}\n")
            directory.mkdir(parents=True, exist_ok=True)
            for name, file in files.items():
                _bring(store, file, directory / name, out)
    except OSError as error:
        place = error.filename2 or error.filename or directory
        raise CannotShow(f"{place} cannot be written: {error.strerror}") from error


def _check_own_keys(results: Results, endpoint: str | None) -> None:
    named = results.s3.endpoint
    if named is not None and not endpoint:
        # a request shows its receiver the id of the key and the token it is signed with
        raise CannotShow(
            f"without keys of the job's, {results.whose_keys} would sign requests to the address that whoever wrote "
            f"the job chose. If you trust it with that, give it yourself: --endpoint-url {shlex.quote(named)}"
        )
    fault = unusable_key(os.environ)
    if fault is not None:
        raise CannotShow(f"{results.whose_keys}: {fault}")


def _check_all_are_there(results: Results, wanted: Sequence[str], files: Container[str]) -> None:
    missing = [name for name in wanted if name not in files]
    if missing:
        raise CannotShow(
            f"there is no {' and no '.join(missing)} beside this model: an older version has stored it. They are below "
            f"stages/DIGEST/, where .status.inputs.train.digest of {results.key.kind} {results.key.name} is the digest"
        )


class _Store:
    """What is below the bucket and prefix of a job."""

    def __init__(self, results: Results, endpoint: str | None, client: Any) -> None:
        self._results = results
        self._where = f"{endpoint or 'AWS'} with {results.whose_keys}"
        self._client = client

    def manifest(self) -> Manifest:
        """Return what the stage that made the model has left."""
        key = f"{self._results.folder}/manifest.json"
        content = b"".join(self.chunks(key, LARGEST_MANIFEST_BYTES))
        try:
            return Manifest.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise CannotShow(
                f"{self.uri(key)} is no manifest that files are fetched by: {place}: {first['msg']}"
            ) from error

    def chunks(self, key: str, most_bytes: int) -> Iterator[bytes]:
        """Yield an object in pieces, up to the one that has more than it may."""
        left = most_bytes
        try:
            answer = self._client.get_object(Bucket=self._results.s3.bucket, Key=self._key(key))
            for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise CannotShow(f"{self.uri(key)} is larger than the {size(most_bytes)} that it may have")
                yield chunk
        except (BotoCoreError, ClientError) as error:
            again = "" if isinstance(error, ClientError) else _AGAIN
            # the text of one of these may quote the headers of the request, and with them the keys
            said = type(error).__name__ if isinstance(error, HTTPClientError) else error
            raise CannotShow(f"{self.uri(key)} cannot be read at {self._where}: {said}{again}") from error

    def uri(self, key: str) -> str:
        """Return an object's address for people."""
        return f"s3://{self._results.s3.bucket}/{self._key(key)}"

    def _key(self, key: str) -> str:
        return f"{self._results.s3.prefix.strip('/')}/{key}".lstrip("/")


@contextmanager
def _store(results: Results, endpoint: str | None, kubectl: Sequence[str]) -> Iterator[_Store]:
    with reachable(endpoint, kubectl) as url, _as_file(results.ca_bundle) as bundle:
        config = Config(
            retries={"mode": "standard", "max_attempts": 3},
            connect_timeout=10,
            read_timeout=60,
            s3={"addressing_style": "path" if results.s3.path_style else "auto"},
            # as the worker reads: what a file must be, its manifest says
            response_checksum_validation="when_required",
            # a forwarded port is on this machine, where no proxy leads
            proxies=None if url == endpoint else {},
        )
        try:
            session = boto3.session.Session(**results.keys)
            client = session.client("s3", endpoint_url=url, region_name=results.s3.region, verify=bundle, config=config)
        except BotoCoreError as error:
            raise CannotShow(f"{results.whose_keys} cannot be used: {error}") from error
        yield _Store(results, endpoint, client)


@contextmanager
def _as_file(text: str | None) -> Iterator[str | None]:
    if text is None:
        yield None
        return
    with NamedTemporaryFile("w", suffix=".crt") as file:
        file.write(text)
        file.flush()
        yield file.name


def _bring(store: _Store, file: StoredFile, path: Path, out: TextIO) -> None:
    line = f"{path.name}  {size(file.bytes)},"
    if _is(file, path):
        out.write(f"{line} already there\n")
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as written:
            for chunk in store.chunks(file.key, file.bytes):
                written.write(chunk)
                if out.isatty():
                    # what is written next, longer than this, takes its place
                    out.write(f"{line} {100 * written.tell() // file.bytes} %\r")
                    out.flush()
        if not _is(file, part):
            raise CannotShow(f"{store.uri(file.key)} is not what its manifest says: {path.name} is not kept")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    out.write(f"{line} fetched\n")


def _is(file: StoredFile, path: Path) -> bool:
    """Tell whether a file is there and is what it should be."""
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
