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

        Returns
        -------
        ours
            Whether the claim is ours now.
        restarted
            Whether an earlier claim (our own of a killed attempt, or an expired one) was taken over.
        """
        if self._store.put_if_absent(_claim_key(key), self._claim()):
            return True, False
        content = self._store.get(_claim_key(key))
        if content is None:  # released between the two calls
            return self._store.put_if_absent(_claim_key(key), self._claim()), False
        claim = json.loads(content)
        if claim["owner"] == self._owner:
            self._store.put(_claim_key(key), self._claim())
            return True, True
        if claim["expires"] > self._clock():
            return False, False
        # Two that find it expired at once both delete; the conditional put lets one of them have it.
        self._store.delete(_claim_key(key))
        return self._store.put_if_absent(_claim_key(key), self._claim()), True

    def renew(self, keys: list[str]) -> None:
        """Keep claims alive while their calculations run or wait."""
        for key in keys:
            self._store.put(_claim_key(key), self._claim())

    def release(self, key: str) -> None:
        """Give a claim back: the verdict is stored, or nobody computes it any more."""
        self._store.delete(_claim_key(key))

    def claimed(self, key: str) -> bool:
        """Tell whether somebody is computing a label right now."""
        content = self._store.get(_claim_key(key))
        return content is not None and json.loads(content)["expires"] > self._clock()

    def _claim(self) -> bytes:
        return json.dumps({"owner": self._owner, "expires": self._clock() + CLAIM_SECONDS}).encode()


def _label_key(key: str) -> str:
    return f"labels/{key[:2]}/{key}.json"


def _claim_key(key: str) -> str:
    return f"claims/{key}.json"
