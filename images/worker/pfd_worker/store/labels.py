"""Labels by content: one calculation, one object, whoever asks; and claims, so that no two compute the same."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from pfd_worker.store.ledger import BookEntry
from pfd_worker.store.objects import ObjectStore

CLAIM_SECONDS = 90.0
"""A claim whose owner is not heard of for this long belongs to a dead pod."""


@dataclass(frozen=True)
class LastWords:
    """What an owner of claims says of itself as long as it lives."""

    computing: list[str] | None
    """Keys of what its end would cut off; None, of an earlier version: it does not know."""
    stopping: bool = False
    """Whether it was told to end: a kill that follows is no calculation's fault."""


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

    @property
    def cost(self) -> BookEntry:
        """What it cost."""
        return BookEntry(self.key, self.paid_by, self.labels, len(self.frames), self.seconds)

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
        self.owner = owner
        self.generations: dict[str, int] = {}
        """Of our claims, by key."""

    def get(self, key: str) -> LabelRecord | None:
        """Return the verdict on a calculation, None if there is none yet."""
        content = self._store.get(_label_key(key))
        return None if content is None else LabelRecord(**json.loads(content))

    def save(self, record: LabelRecord) -> bool:
        """Store a verdict unless there is one; return whether ours is the one."""
        return self._store.put_if_absent(_label_key(record.key), record.to_bytes())

    def claim(self, key: str) -> tuple[bool, str | None]:
        """Try to become the one who computes a label.

        A claim is made by one conditional put: the first, or the next after one that was given back or has expired.
        None is deleted before there is a label, which who claims looks for again: beside one that is gone, whoever
        still sees it and whoever does not would make two.

        Returns
        -------
        ours
            Whether the claim is ours now.
        taken_from
            Who had it, and neither gave it back nor settled it: we ourselves in a killed attempt, or one that is dead.
        """
        generation = 0
        taken_from: str | None = None
        won = self._store.put_if_absent(_claim_name(key, 0), self._claim())
        if not won and (last := self._newest(key)) is not None:
            taken_from = self._held_by(last)
            if taken_from is not None and taken_from != self.owner and self._lives(last, taken_from):
                return False, None
            generation = int(last.rsplit("/", 1)[1]) + 1
            won = self._store.put_if_absent(_claim_name(key, generation), self._claim())
        if won:
            self.generations[key] = generation
        return won, taken_from if won else None

    def release(self, key: str, settled: bool = False) -> None:
        """Give a claim of ours back.

        Parameters
        ----------
        settled
            Whether the label is stored, so that nobody will need a claim.
        """
        generation = self.generations.get(key)
        if generation is None:
            return
        if settled:
            for number in range(generation + 1):
                self._store.delete(_claim_name(key, number))
        else:
            self._store.put(_claim_name(key, generation), self._claim(released=True))
        # not before: who was refused by the store may ask again
        self.generations.pop(key, None)

    def claimed(self, key: str) -> bool:
        """Tell whether somebody is computing a label right now."""
        last = self._newest(key)
        owner = None if last is None else self._held_by(last)
        return last is not None and owner is not None and self._lives(last, owner)

    def tell(self, words: LastWords) -> None:
        """Keep all our claims alive, by one request."""
        self._store.put(_owner_name(self.owner), json.dumps(vars(words)).encode())

    def last_words(self, owner: str) -> LastWords:
        """Return what an owner has said of itself; of one that has left, or never was, that it computes nothing."""
        said = self._store.get(_owner_name(owner))
        return LastWords([]) if said is None else LastWords(**json.loads(said))

    def leave(self) -> None:
        """Say no more, after all claims were settled or given back."""
        self._store.delete(_owner_name(self.owner))

    def _newest(self, key: str) -> str | None:
        return next(iter(self._store.list(f"claims/{key}/")[-1:]), None)

    def _held_by(self, name: str) -> str | None:
        """Return who has a claim, None if it was given back."""
        content = self._store.get(name)
        claim = {"released": True} if content is None else json.loads(content)
        return None if claim.get("released") else str(claim["owner"])

    def _lives(self, name: str, owner: str) -> bool:
        # by the store's clock alone: those of two nodes may be minutes apart, or be set
        ages = (self._store.age_seconds(each) for each in (_owner_name(owner), name))
        return any(age is not None and age < CLAIM_SECONDS for age in ages)

    def _claim(self, released: bool = False) -> bytes:
        # no two are equal: a put whose answer was lost knows its own by it
        return json.dumps({"owner": self.owner, "claim": uuid.uuid4().hex, "released": released}).encode()


def _label_key(key: str) -> str:
    return f"labels/{key[:2]}/{key}.json"


def _claim_name(key: str, generation: int) -> str:
    return f"claims/{key}/{generation:06d}"


def _owner_name(owner: str) -> str:
    return f"claims/owners/{owner}"
