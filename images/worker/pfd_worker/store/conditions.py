"""What everything that is paid for once rests on: of two conditional puts of one key only the first is done."""

from __future__ import annotations

import uuid
from contextlib import suppress

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, user_error
from pfd_worker.store.objects import ObjectStore

PROBES = "probes/"


def check_conditional_puts(store: ObjectStore) -> None:
    """Try it with an object of a name that nobody else has, and remove it where that is allowed.

    Raises
    ------
    StageError
        Naming the store, if it puts the second one, too.
    """
    key = f"{PROBES}{uuid.uuid4().hex}"
    done = [store.put_if_absent(key, content) for content in (b"first", b"second")]
    # an account may be without the right to delete
    with suppress(StageError):
        store.delete(key)
    if all(done):
        raise user_error(
            Reason.STORE_UNSUITABLE,
            f"spec.artifacts.s3: {store.uri('')} overwrites an object although the request says If-None-Match: *, so "
            "that several pods would compute and pay for one label. Use a store that supports conditional writes, "
            "such as AWS S3.",
        )
