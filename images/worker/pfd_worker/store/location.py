"""From the StageSpec's location to a store."""

from __future__ import annotations

from pathlib import Path

from pfd_operator.contract.location import StoreLocation
from pfd_worker.store.objects import DirectoryStore, ObjectStore, scheme_and_place
from pfd_worker.store.s3 import S3Store


def open_store(location: StoreLocation) -> ObjectStore:
    """Return the store at a location."""
    if location.s3 is not None:
        return S3Store(location.s3)
    assert location.directory is not None, "a StoreLocation has exactly one member"  # noqa: S101
    return DirectoryStore(Path(scheme_and_place(location.directory)[1]))
