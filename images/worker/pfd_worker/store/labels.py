"""Labels by content: one calculation, one object, whoever asks; and claims, so that no two compute the same."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from pfd_worker.store.objects import ObjectStore

CLAIM_SECONDS = 90.0
"""A claim that is not renewed for this long belongs to a dead pod."""
LASTING_FAILURES = frozenset({"ScfNotConverged"})
"""Reasons of failures that follow from structure, engine and settings: whoever computes the label meets them again.
Time, memory and nodes are no part of a label's key: what ran out of them may succeed elsewhere."""


@dataclass(frozen=True)
class LabelRecord:
    """The verdict on one calculation."""

    key: str
    """Of the label; of a failure that is final for one stage only, that stage's own."""
    paid_by: str
    """uid of the job that computed it."""
    labels: int
    """SCF cycles it stands for: 1, or the steps of an AIMD trajectory."""
    ok: bool
    frames: list[dict[str, Any]]
    """Per frame: numbers, cell (Å), positions (Å), pbc, energy (eV), forces (eV/Å), virial (eV). Of AIMD that failed,
    the steps before."""
    engine: dict[str, Any]
    seconds: float
    reason: str = ""
    message: str = ""
    stage: str = ""
    """Digest of the stage for which alone a failure is final; empty: for all."""

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
    """

    def __init__(self, store: ObjectStore, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._claims: dict[str, str] = {}
        """Name of our own last claim on a key, as far as it is known here."""

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
        owner = self._owner_of(last[0]) if last else None
        if last and owner not in (None, self._owner) and self._fresh(last[0]):
            return False, False
        number = int(last[0].rsplit("/", 1)[1]) + 1 if last else 0
        name = f"{_claim_prefix(key)}{number:06d}"
        won = self._store.put_if_absent(name, self._claim())
        if won:
            self._claims[key] = name
        return won, won and owner is not None

    def renew(self, keys: list[str]) -> None:
        """Keep claims alive while their calculations run or wait."""
        for key in keys:
            name = self._claims.get(key)
            if name is None:
                # another container of this pod may have claimed it; found once, renewing is one request
                name = next(iter(self._ours(key)[-1:]), None)
                if name is None:
                    continue
                self._claims[key] = name
            self._store.put(name, self._claim())

    def release(self, key: str) -> None:
        """Give a claim back: the verdict is stored, or nobody computes it any more."""
        # first: another thread may be renewing what is known
        self._claims.pop(key, None)
        for last in self._ours(key)[-1:]:
            # the newest goes last, so that nobody meanwhile sees an older, expired one in its place
            for name in self._generations(key):
                if name <= last:
                    self._store.delete(name)

    def claimed(self, key: str) -> bool:
        """Tell whether somebody is computing a label right now."""
        return any(self._fresh(name) for name in self._generations(key)[-1:])

    def _generations(self, key: str) -> list[str]:
        return self._store.list(_claim_prefix(key))

    def _ours(self, key: str) -> list[str]:
        return [name for name in self._generations(key) if self._owner_of(name) == self._owner]

    def _owner_of(self, name: str) -> str | None:
        claim = self._store.get(name)
        return None if claim is None else str(json.loads(claim)["owner"])

    def _fresh(self, name: str) -> bool:
        # by the store's clock alone: those of two nodes may be minutes apart, or be set
        age = self._store.age_seconds(name)
        return age is not None and age < CLAIM_SECONDS

    def _claim(self) -> bytes:
        # no two are equal: a put whose answer was lost knows its own by it
        return json.dumps({"owner": self._owner, "claim": uuid.uuid4().hex}).encode()


def _label_key(key: str) -> str:
    return f"labels/{key[:2]}/{key}.json"


def _claim_prefix(key: str) -> str:
    return f"claims/{key}/"
