"""S3 by boto3: streaming, multipart, patience."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from pfd_operator.contract.location import S3Location
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.s3_keys import unusable_key
from pfd_worker.errors import AbsentError, user_error
from pfd_worker.store.objects import scheme_and_place
from pfd_worker.store.s3_errors import BEYOND_END, FAILURES, TAKEN, WORDLESS, cause_of, code_of, explained

PATIENCE_SECONDS = 600.0
"""How long a store that does not answer is waited for. What a pod holds, a label that was paid for or a checkpoint,
would be lost with the pod, and another pod would have to wait as well."""
FIRST_PATIENCE_SECONDS = 60.0
"""The same before its first answer: the pod holds nothing yet, and the address may be wrong."""
LONGEST_WAIT_SECONDS = 30.0

_Answer = TypeVar("_Answer")
_log = logging.getLogger(__name__)


def _bucket_and_key(uri: str) -> tuple[str, str]:
    scheme, place = scheme_and_place(uri)
    if scheme != "s3":
        raise user_error(Reason.MODEL_NOT_FOUND, f"{uri}: only s3:// addresses can be read in a cluster")
    bucket, _, key = place.partition("/")
    return bucket, key.lstrip("/")


class S3Store:
    """The objects under one bucket and prefix.

    Parameters
    ----------
    location
        Where it is.
    patience_seconds
        How long a request is repeated that gets no answer.

    Raises
    ------
    StageError
        If a key in the environment cannot be sent.
    """

    def __init__(self, location: S3Location, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._has_answered = False
        self._bucket = location.bucket
        self._prefix = location.prefix.strip("/")
        fault = unusable_key(os.environ)
        if fault is not None:
            raise user_error(Reason.STORE_DENIED, f"spec.artifacts.s3.credentialsSecret: {fault}.")
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=location.endpoint,
            region_name=location.region,
            config=Config(
                retries={"mode": "standard", "max_attempts": 3},
                connect_timeout=10,
                read_timeout=60,
                s3={"addressing_style": "path" if location.path_style else "auto"},
                # Several stores that say they are like S3 refuse the checksums that boto3 adds unasked, or the chunks
                # that carry them (botocore issue 3352). Without them what is put is signed with its sha256, and files
                # that a manifest lists are checked against theirs when they are read.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        self._where = f"s3://{location.bucket} at {self._client.meta.endpoint_url}"

    def get(self, key: str) -> bytes | None:
        """Return an object's content, None if there is none."""
        content: bytes | None = self._look(
            self.uri(key), lambda: self._client.get_object(**self._object(key))["Body"].read()
        )
        return content

    def get_part(self, key: str, first: int, length: int) -> bytes | None:
        """Return so many bytes of an object, from the first on, fewer at its end; None if there is no object."""
        wanted = {**self._object(key), "Range": f"bytes={first}-{first + length - 1}"}

        def part() -> bytes:
            try:
                answer = self._client.get_object(**wanted)
            except ClientError as error:
                if code_of(error) not in BEYOND_END:
                    raise
                return b""
            content: bytes = answer["Body"].read()
            # a server or proxy that does not heed the range sends all
            return content if "ContentRange" in answer else content[first : first + length]

        return self._look(self.uri(key), part)

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        self._ask(self.uri(key), lambda: self._client.put_object(**self._object(key), Body=content))

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Store an object unless there is one (If-None-Match: *). Return whether we did."""
        tries = 0

        def put() -> bool:
            nonlocal tries
            tries += 1
            try:
                self._client.put_object(**self._object(key), Body=content, IfNoneMatch="*")
            except ClientError as error:
                if code_of(error) not in TAKEN:
                    raise
                # the put before this one may have been done, and its answer lost
                repeated = tries > 1 or error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
                return repeated and self.get(key) == content
            return True

        return self._ask(self.uri(key), put)

    def age_seconds(self, key: str) -> float | None:
        """Return for how long an object has been there unchanged, by the server's clock; None if there is none."""

        def age() -> float:
            head = self._client.head_object(**self._object(key))
            now = parsedate_to_datetime(head["ResponseMetadata"]["HTTPHeaders"]["date"])
            seconds: float = (now - head["LastModified"]).total_seconds()
            return max(0.0, seconds)

        return self._look(self.uri(key), age)

    def list(self, prefix: str) -> list[str]:
        """Return all keys that start with the prefix, sorted."""
        start = self._key("")
        return sorted(key.removeprefix(start) for key in self._sizes(self._bucket, self._key(prefix)))

    def upload(self, path: Path, key: str) -> None:
        """Store a file, in parts if it is large."""
        self._ask(self.uri(key), lambda: self._client.upload_file(str(path), self._bucket, self._key(key)))

    def download(self, key: str, path: Path) -> None:
        """Fetch an object into a file."""
        self._download(self._bucket, self._key(key), path)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._look(self.uri(key), lambda: self._client.delete_object(**self._object(key)))

    def download_uri(self, uri: str, path: Path) -> None:
        """Fetch an s3:// address at the same endpoint, with the same credentials."""
        self._download(*_bucket_and_key(uri), path)

    def size_of(self, uri: str) -> int:
        """Return the bytes of an s3:// address."""
        bucket, key = _bucket_and_key(uri)

        def size() -> int:
            # a HEAD's answer has no words, see `WORDLESS`
            answer = self._client.get_object(Bucket=bucket, Key=key)
            answer["Body"].close()
            length: int = answer["ContentLength"]
            return length

        return self._ask(f"s3://{bucket}/{key}", size)

    def sizes_below(self, uri: str, most: int) -> dict[str, int]:
        """Return the bytes of each object below an s3:// address, of at most so many, by its name from there on."""
        bucket, start = _bucket_and_key(uri)
        return {key.removeprefix(start): size for key, size in self._sizes(bucket, start, most).items()}

    def uri(self, key: str) -> str:
        """Return an object's address for people."""
        return f"s3://{self._bucket}/{self._key(key)}"

    def _download(self, bucket: str, key: str, path: Path) -> None:
        self._ask(f"s3://{bucket}/{key}", lambda: self._client.download_file(bucket, key, str(path)))

    def _sizes(self, bucket: str, prefix: str, most: int | None = None) -> dict[str, int]:
        def entries() -> dict[str, int]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": most}
            )
            return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}

        return self._ask(f"s3://{bucket}/{prefix}", entries)

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key(key)}

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _look(self, address: str, request: Callable[[], _Answer]) -> _Answer | None:
        """Return what a request gives, None if there is no such object; see `_ask`."""
        try:
            return self._ask(address, request)
        except AbsentError:
            return None

    def _ask(self, address: str, request: Callable[[], _Answer]) -> _Answer:
        """Return what a request gives, repeated while the store does not answer, or not now.

        Raises
        ------
        StageError
            With what is wrong in the user's words.
        """
        patience = self._patience_seconds if self._has_answered else min(self._patience_seconds, FIRST_PATIENCE_SECONDS)
        # from the first failure: a large upload may take longer than the patience before it meets one
        deadline, wait = float("inf"), 1.0
        while True:
            try:
                answer = request()
            except FAILURES as failure:
                told = explained(self._in_words(cause_of(failure)), self._where, address, self._has_answered)
                self._has_answered |= isinstance(told, AbsentError)
                deadline = min(deadline, time.monotonic() + patience)
                left = deadline - time.monotonic()
                if told.exit_code is not ExitCode.TRANSIENT or left < wait:
                    raise told from failure
                _log.warning("%s; asked again for %.0f s", told.message, left)
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
            else:
                self._has_answered = True
                return answer

    def _in_words(self, failure: Exception) -> Exception:
        """Return why another request fails, if it does: a HEAD's answer tells neither why nor whose it is."""
        in_words: Exception = failure
        if isinstance(failure, ClientError) and code_of(failure) in WORDLESS:
            try:
                self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._key(""), MaxKeys=1)
            except FAILURES as told:
                in_words = told
        return in_words
