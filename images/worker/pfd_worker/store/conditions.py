"""What stages rest on of an object store and its keys, tried before anything is paid for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError, user_error
from pfd_worker.store.objects import ObjectStore

PROBES = "probes/"
_REFUSALS = frozenset({Reason.STORE_DENIED, Reason.STORE_REFUSED})


def check_writable(store: ObjectStore) -> None:
    """Put an object: that a store reads and cannot write, its disk being full, is not to be met when all is computed.

    As the first request of a pod, it is given up early: see `S3Store`.

    Raises
    ------
    StageError
        As `check_rights`; StoreUnavailable if it cannot be put now.
    """
    key = f"{PROBES}{uuid.uuid4().hex}"
    with _needs("s3:PutObject", store.uri(key)):
        store.put(key, b"probe")
    with _needs("s3:DeleteObject", store.uri(key)):
        store.delete(key)


def check_rights(store: ObjectStore) -> None:
    """Put, list, read and delete an object of a name that nobody else has wherever stages do all of that.

    A stage that may not delete a claim fails when its label is paid for and stored, and so does each that follows.

    Raises
    ------
    StageError
        StoreDenied or StoreRefused, naming the right that is missing, and where.
    """
    name = uuid.uuid4().hex
    keys = [f"{PROBES}{name}", f"claims/probe-{name}/000000", f"stages/probe-{name}/checkpoints/probe"]
    for key in keys:
        with _needs("s3:PutObject", store.uri(key)):
            store.put(key, b"probe")
    for key in keys:
        with _needs("s3:ListBucket", store.uri(key)):
            store.list(key)
        with _needs("s3:GetObject", store.uri(key)):
            store.get(key)
    for key in keys:
        with _needs("s3:DeleteObject", store.uri(key)):
            store.delete(key)


@contextmanager
def _needs(right: str, address: str) -> Iterator[None]:
    try:
        yield
    except StageError as error:
        if error.reason not in _REFUSALS or error.exit_code is not ExitCode.USER_ERROR:
            raise
        raise user_error(
            error.reason,
            f"{error.message} This request needs the right {right} at {address}. What rights a job needs is in "
            "docs/operations.md, section 'Rights in S3'.",
        ) from error


def check_conditional_puts(store: ObjectStore) -> None:
    """Try what everything that is paid for once rests on: of two conditional puts of one key only the first is done.

    Raises
    ------
    StageError
        StoreUnsuitable, naming the store, if it puts the second one, too.
    """
    key = f"{PROBES}{uuid.uuid4().hex}"
    done = [store.put_if_absent(key, content) for content in (b"first", b"second")]
    store.delete(key)
    if all(done):
        raise user_error(
            Reason.STORE_UNSUITABLE,
            f"spec.artifacts.s3: {store.uri('')} overwrites an object although the request says If-None-Match: *, so "
            "that several pods would compute and pay for one label. Use a store that supports conditional writes, "
            "such as AWS S3.",
        )
