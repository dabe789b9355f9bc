"""S3 by boto3: streaming, multipart, retries; its errors in the user's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from pfd_operator.contract.result import Reason
from pfd_operator.contract.settings import S3Location
from pfd_worker.errors import StageError, transient, user_error

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
# XAdminUserNotFound is versitygw's word for an unknown access key
_DENIED = frozenset(
    {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden", "XAdminUserNotFound"}
)


class S3Store:
    """The objects under one bucket and prefix."""

    def __init__(self, location: S3Location) -> None:
        self._bucket = location.bucket
        self._prefix = location.prefix.strip("/")
        self._where = f"s3://{location.bucket}" + (f" at {location.endpoint}" if location.endpoint else "")
        self._client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=location.endpoint,
            region_name=location.region,
            config=Config(
                retries={"mode": "standard", "max_attempts": 6},
                connect_timeout=10,
                read_timeout=60,
                s3={"addressing_style": "path" if location.path_style else "auto"},
            ),
        )

    def get(self, key: str) -> bytes | None:
        """Return an object's content, None if there is none."""
        with self._errors(key):
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
            return content
        return None

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""
        with self._errors(key):
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=content)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Store an object unless there is one (If-None-Match: *). Return whether we did."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=content, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) in _TAKEN:
                return False
            raise self._explained(error, key) from error
        except BotoCoreError as error:
            raise self._explained(error, key) from error
        return True

    def exists(self, key: str) -> bool:
        """Tell whether there is an object."""
        with self._errors(key):
            self._client.head_object(Bucket=self._bucket, Key=self._key(key))
            return True
        return False

    def list(self, prefix: str) -> list[str]:
        """Return all keys that start with the prefix, sorted."""
        start = self._key("")
        with self._errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(prefix)
            )
            return sorted(entry["Key"].removeprefix(start) for page in pages for entry in page.get("Contents", []))
        return []

    def upload(self, path: Path, key: str) -> None:
        """Store a file, in parts if it is large."""
        with self._errors(key):
            self._client.upload_file(str(path), self._bucket, self._key(key))

    def download(self, key: str, path: Path) -> None:
        """Fetch an object into a file."""
        self._download(self._bucket, self._key(key), path)

    def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        with self._errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def download_uri(self, uri: str, path: Path) -> None:
        """Fetch an s3:// address at the same endpoint, with the same credentials."""
        parts = urlsplit(uri)
        if parts.scheme != "s3":
            raise user_error(Reason.MODEL_NOT_FOUND, f"{uri}: only s3:// addresses can be read in a cluster")
        self._download(parts.netloc, parts.path.lstrip("/"), path)

    def uri(self, key: str) -> str:
        """Return an object's address for people."""
        return f"s3://{self._bucket}/{self._key(key)}"

    def _download(self, bucket: str, key: str, path: Path) -> None:
        try:
            self._client.download_file(bucket, key, str(path))
        except ClientError as error:
            if _code(error) in _ABSENT:
                raise user_error(Reason.MODEL_NOT_FOUND, f"s3://{bucket}/{key}: there is no such object") from error
            raise self._explained(error, key) from error
        except BotoCoreError as error:
            raise self._explained(error, key) from error

    def _key(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Swallow 'absent', so that the statement after the block answers for it; explain everything else."""
        try:
            yield
        except ClientError as error:
            if _code(error) not in _ABSENT:
                raise self._explained(error, key) from error
        except BotoCoreError as error:
            raise self._explained(error, key) from error

    def _explained(self, error: Exception, key: str) -> StageError:
        code = _code(error) if isinstance(error, ClientError) else type(error).__name__
        if code == "NoSuchBucket":
            return user_error(
                Reason.BUCKET_NOT_FOUND,
                f"spec.artifacts.s3: there is no bucket at {self._where}. Create it or correct bucket and endpoint.",
            )
        if code in _DENIED or isinstance(error, NoCredentialsError | PartialCredentialsError):
            return user_error(
                Reason.STORE_DENIED,
                f"spec.artifacts.s3: {self._where} refuses access ({code}). Check credentialsSecret (keys "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and that they may read and write the bucket.",
            )
        return transient(Reason.STORE_UNAVAILABLE, f"{self._where} does not answer for {key}: {code}: {error}")


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
