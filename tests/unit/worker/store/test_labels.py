"""Claims and ledger: one computes, nobody pays twice, nothing is forgotten."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.store.labels import CLAIM_SECONDS, LabelRecord, LabelStore, LastWords
from pfd_worker.store.ledger import BookEntry, Ledger
from pfd_worker.store.objects import DirectoryStore, ObjectStore

KEY = "ab" * 32


class Aging:
    """A store in which time passes when told to."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._written: dict[str, float] = {}
        self.passed = 0.0

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def put(self, key: str, content: bytes) -> None:
        self._store.put(key, content)
        self._written[key] = self.passed

    def put_if_absent(self, key: str, content: bytes) -> bool:
        won = self._store.put_if_absent(key, content)
        if won:
            self._written[key] = self.passed
        return won

    def age_seconds(self, key: str) -> float | None:
        age = self._store.age_seconds(key)
        # another thread may find an object before its writer has noted the time
        return None if age is None else age + self.passed - self._written.get(key, self.passed)


def record(paid_by: str, ok: bool = True, labels: int = 1) -> LabelRecord:
    return LabelRecord(KEY, paid_by, labels, ok, [], {"xtb": {}}, 1.0, "" if ok else "ScfNotConverged")


def at_once(count: int, action):
    barrier = Barrier(count)

    def wait_and_act(number: int):
        barrier.wait()
        return action(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(wait_and_act, range(count)))


def test_of_many_who_claim_one_computes(store):
    aging = Aging(store)
    workers = [LabelStore(aging, f"job-{n}") for n in range(8)]
    claims = at_once(8, lambda n: workers[n].claim(KEY))
    assert sorted(claims, key=str) == [(False, None)] * 7 + [(True, None)]


def test_of_many_who_find_an_expired_claim_one_takes_over(store):
    aging = Aging(store)
    assert LabelStore(aging, "dead").claim(KEY) == (True, None)
    aging.passed += CLAIM_SECONDS + 1
    workers = [LabelStore(aging, f"job-{n}") for n in range(8)]
    claims = at_once(8, lambda n: workers[n].claim(KEY))
    assert sorted(claims, key=str) == [(False, None)] * 7 + [(True, "dead")]


def test_a_renewed_claim_lasts_and_a_released_one_is_free(store):
    aging = Aging(store)
    first, second = LabelStore(aging, "first"), LabelStore(aging, "second")
    first.claim(KEY)
    aging.passed += 0.7 * CLAIM_SECONDS
    first.tell(LastWords([]))
    aging.passed += 0.7 * CLAIM_SECONDS
    assert second.claim(KEY) == (False, None)
    second.release(KEY)
    assert second.claimed(KEY), "only its owner gives a claim back"
    first.release(KEY)
    assert not second.claimed(KEY)
    assert second.claim(KEY) == (True, None)


def test_what_was_given_back_is_not_renewed(store):
    labels = LabelStore(store, "first")
    labels.claim(KEY)
    labels.release(KEY)
    labels.tell(LastWords([]))
    assert not labels.claimed(KEY)
    assert LabelStore(store, "second").claim(KEY) == (True, None)


def test_a_claim_that_the_store_did_not_take_back_can_be_given_back_again(store, monkeypatch):
    labels = LabelStore(store, "first")
    labels.claim(KEY)
    with monkeypatch.context() as patch:
        patch.setattr(store, "put", lambda *_: (_ for _ in ()).throw(OSError("nobody answers")))
        with pytest.raises(OSError, match="nobody answers"):
            labels.release(KEY)
    labels.release(KEY)
    assert not labels.claimed(KEY)


def test_the_next_attempt_of_the_same_index_takes_its_own_claim_back(store):
    aging = Aging(store)
    assert LabelStore(aging, "job/stage/0").claim(KEY) == (True, None)
    assert LabelStore(aging, "job/stage/0").claim(KEY) == (True, "job/stage/0")


def test_a_claim_that_others_saw_before_it_was_given_back_gets_one_owner(store):
    """Whoever looked before it was given back and whoever looks after it make the same next claim."""
    owner, early, late = (LabelStore(store, name) for name in ("owner", "early", "late"))
    owner.claim(KEY)
    seen = early._newest(KEY)
    owner.release(KEY)
    assert late.claim(KEY) == (True, None)
    early._newest = lambda key: seen
    early._lives = lambda *_: False
    assert early.claim(KEY) == (False, None)


def test_all_claims_of_an_owner_live_by_one_object(store):
    aging = Aging(store)
    owner, finder = LabelStore(aging, "owner"), LabelStore(aging, "finder")
    keys = [f"{number:064x}" for number in range(5)]
    for key in keys:
        owner.claim(key)
    aging.passed += 0.7 * CLAIM_SECONDS
    before = store.list("claims/")
    owner.tell(LastWords(keys[:1]))
    aging.passed += 0.7 * CLAIM_SECONDS
    assert len(store.list("claims/")) == len(before) + 1
    assert [finder.claim(key) for key in keys] == [(False, None)] * 5
    assert finder.last_words("owner") == LastWords(keys[:1])
    owner.leave()
    assert [finder.claim(key) for key in keys] == [(True, "owner")] * 5


def test_a_claim_whose_label_is_stored_leaves_nothing(store):
    first, second = LabelStore(store, "first"), LabelStore(store, "second")
    first.claim(KEY)
    first.release(KEY)
    second.claim(KEY)
    second.release(KEY, settled=True)
    assert store.list("claims/") == []


def test_the_first_verdict_stays(store):
    labels = LabelStore(store, "job")
    assert labels.save(record("first"))
    assert not labels.save(record("second"))
    assert labels.get(KEY) == record("first")


entries = st.lists(
    st.builds(
        BookEntry,
        key=st.sampled_from(["k1", "k1-failed", "k11", "k2"]),
        paid_by=st.sampled_from(["uid", "another"]),
        labels=st.integers(3, 5),
        sound=st.integers(0, 3),
        seconds=st.just(1.0),
    ),
    max_size=12,
    # what a calculation cost does not change with who asks again; only who is said to have paid may
    unique_by=lambda entry: (entry.key, entry.paid_by),
)


@given(entries=entries)
def test_a_label_counts_once_whatever_is_entered_again(tmp_path_factory, entries):
    ledger = Ledger(DirectoryStore(tmp_path_factory.mktemp("ledger")), "uid")
    ledger.enter_all(entries)
    for entry in entries:
        ledger.enter(entry)
    own = {entry.key: entry for entry in entries if entry.paid_by == "uid"}
    others = {entry.key: entry for entry in entries if entry.key not in own}
    counts = ledger.count()
    assert counts.paid == sum(entry.labels for entry in own.values())
    assert counts.failed == sum(entry.labels - entry.sound for entry in own.values())
    assert counts.reused == sum(entry.labels for entry in others.values())


def test_a_trajectory_counts_its_steps_and_waste_counts_each_time(store):
    ledger = Ledger(store, "uid")
    ledger.enter(BookEntry("trajectory", "uid", labels=5, sound=5, seconds=1.0))
    ledger.enter(BookEntry("scf", "uid", labels=1, sound=0, seconds=1.0))
    ledger.waste("scf", 1)
    ledger.waste("scf", 1)
    counts = ledger.count()
    assert (counts.paid, counts.failed, counts.wasted, counts.reused) == (6, 1, 2, 0)
    assert Ledger(store, "another").count().paid == 0


@pytest.mark.parametrize("late", ["owner", "finder"])
def test_a_claim_released_between_two_looks_is_free(store, late):
    aging = Aging(store)
    owner, finder = LabelStore(aging, "owner"), LabelStore(aging, "finder")
    owner.claim(KEY)
    aging.passed += CLAIM_SECONDS + 1
    assert finder.claim(KEY) == (True, "owner")
    (owner if late == "owner" else finder).release(KEY)
    assert finder.claimed(KEY) == (late == "owner"), "a late owner must not free what its successor holds"
