"""Whether the API server goes on from where it was: with its storage restored from a backup it counts once more."""

from __future__ import annotations


class StorageRestored(Exception):  # noqa: N818 - not a fault, but what happened
    """What is held is newer than anything that the server has: watches from there are silent, and writes conflict."""


def check_goes_on(what: str, seen: int, newest: int) -> None:
    """Compare a resourceVersion that was seen with what the server says later is its newest.

    Raises
    ------
    StorageRestored
        If that is an older one.
    """
    if newest < seen:
        raise StorageRestored(
            f"{what} was at resourceVersion {seen}, and is at {newest}: the API server's storage was restored from a "
            "backup. The operator forgets what it has seen, and starts anew"
        )
