"""Whose child an object is."""

from __future__ import annotations

from typing import NamedTuple


class Owner(NamedTuple):
    """An object that others belong to, all of its own namespace.

    Everybody may write any uid into an object of theirs: only the namespace tells that its writer had a say here.
    """

    namespace: str
    uid: str
