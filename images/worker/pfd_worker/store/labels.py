"""Labels by content: one calculation, one object, whoever asks; and claims, so that no two compute the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pfd_worker.store.objects import ObjectStore

CLAIM_SECONDS = 90.0
"""A claim that is not renewed for this long belongs to a dead pod."""


@dataclass(frozen=True)
class LabelRecord:
    """The verdict on one calculation."""

    key: str
    paid_by: str
    """uid of the job that computed it."""
    labels: int
    """SCF cycles it stands for: 1, or the steps of an AIMD trajectory."""
    ok: bool
    frames: list[dict[str, Any]]
    """Per frame: numbers, cell (Å), positions (Å), pbc, energy (eV), forces (eV/Å), virial (eV)."""
    engine: dict[str, Any]
    seconds: float
    reason: str = ""
    message: str = ""

    def to_bytes(self) -> bytes:
        """Return the JSON that is stored."""
        return json.dumps(vars(self), allow_nan=False).encode()


class LabelStore:
    """All labels under a store's root, shared by every job that uses it.

    Parameters
    ----------
    store
        The object store.
    owner
        Who claims: the same for every attempt at one index of one job's stage.
    clock
        Seconds since the epoch; claims of different machines are compared by it.
    """

    def __init__(self, store: ObjectStore, owner: str, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock

    def get(self, key: str) -> LabelRecord | None:
        """Return the verdict on a calculation, None if there is none yet."""
        content = self._store.get(_label_key(key))
        return None if content is None else LabelRecord(**json.loads(content))

    def save(self, record: LabelRecord) -> bool:
        """Store a verdict unless there is one; return whether ours is the one."""
        return self._store.put_if_absent(_label_key(record.key), record.to_bytes())

    def claim(self, key: str) -> tuple[bool, bool]:
        """Try to become the one who computes a label.

        A claim is taken over by one conditional put of the next generation. Deleting the expired one first would let
        a slow second finder delete the claim that the first has just made.

        Returns
        -------
        ours
            Whether the claim is ours now.
        restarted
            Whether we took over an earlier claim: our own of a killed attempt, or an expired one.
        """
        last = self._generations(key)[-1:]
        content = self._store.get(last[0]) if last else None
        if last and content is not None:
            claim = json.loads(content)
            if claim["owner"] != self._owner and claim["expires"] > self._clock():
                return False, False
        number = int(last[0].rsplit("/", 1)[1]) + 1 if last else 0
        name, ours = f"{_claim_prefix(key)}{number:06d}", self._claim()
        # a put that was repeated because its answer got lost finds its own claim
        won = self._store.put_if_absent(name, ours) or self._store.get(name) == ours
        return won, won and content is not None

    def renew(self, keys: list[str]) -> None:
        """Keep claims alive while their calculations run or wait."""
        for key in keys:
            for name in self._ours(key)[-1:]:
                self._store.put(name, self._claim())

    def release(self, key: str) -> None:
        """Give a claim back: the verdict is stored, or nobody computes it any more."""
        for last in self._ours(key)[-1:]:
            # the newest goes last, so that nobody meanwhile sees an older, expired one in its place
            for name in self._generations(key):
                if name <= last:
                    self._store.delete(name)

    def claimed(self, key: str) -> bool:
        """Tell whether somebody is computing a label right now."""
        content = [self._store.get(name) for name in self._generations(key)[-1:]]
        return any(json.loads(claim)["expires"] > self._clock() for claim in content if claim is not None)

    def _generations(self, key: str) -> list[str]:
        return self._store.list(_claim_prefix(key))

    def _ours(self, key: str) -> list[str]:
        found = ((name, self._store.get(name)) for name in self._generations(key))
        return [name for name, claim in found if claim is not None and json.loads(claim)["owner"] == self._owner]

    def _claim(self) -> bytes:
        return json.dumps({"owner": self._owner, "expires": self._clock() + CLAIM_SECONDS}).encode()


def _label_key(key: str) -> str:
    return f"labels/{key[:2]}/{key}.json"


def _claim_prefix(key: str) -> str:
    return f"claims/{key}/"
