"""Leases: what an owner of claims says of itself, and when."""

import threading

from pfd_operator.contract.result import Reason
from pfd_worker.errors import transient
from pfd_worker.store.labels import LabelStore, LastWords
from pfd_worker.store.lease import Lease


def lease_of(labels: LabelStore, stopping: threading.Event | None = None) -> Lease:
    return Lease(labels, stopping or threading.Event())


def test_what_is_new_is_told_at_once_and_what_is_not_only_now_and_then(store, monkeypatch):
    labels, stopping, told = LabelStore(store, "owner"), threading.Event(), []
    monkeypatch.setattr(labels, "tell", told.append)
    lease = lease_of(labels, stopping)
    for _ in range(2):
        lease.keep()
    for key in ("a", "a", "b"):
        lease.computes([key])
    stopping.set()
    for _ in range(2):
        lease.keep()
    assert told == [LastWords([]), LastWords(["a"]), LastWords(["b"]), LastWords(["b"], stopping=True)]
    monkeypatch.setattr("pfd_worker.store.lease._TELL_SECONDS", 0.0)
    lease.keep()
    assert len(told) == 5


def test_what_was_cut_off_is_said_until_it_was_taken_over(store):
    labels = LabelStore(store, "owner")
    labels.tell(LastWords(["a", "b"], stopping=True))
    lease = lease_of(labels)
    lease.keep()
    assert labels.last_words("owner") == LastWords(["a", "b"], stopping=True)
    lease.took_over("a")
    assert labels.last_words("owner") == LastWords(["b"], stopping=True)
    lease.computes(["c"])
    assert labels.last_words("owner") == LastWords(["c"])


def test_who_gives_up_blames_nothing_of_its_own_and_pardons_nothing_of_the_attempt_before(store):
    labels, stopping = LabelStore(store, "owner"), threading.Event()
    labels.tell(LastWords(["a", "b"]))
    lease = lease_of(labels, stopping)
    stopping.set()
    lease.took_over("a")
    lease.give_up()
    lease.leave()
    assert labels.last_words("owner") == LastWords(["b"])
    stopping.clear()
    lease.computes(["c"])
    lease.give_up()
    assert labels.last_words("owner") == LastWords(["c"], stopping=True)
    lease.leave()
    assert store.list("claims/owners/") == []


def test_an_owner_of_an_earlier_version_did_not_know_what_it_computed(store):
    store.put("claims/owners/owner", b'{"computing": null, "stopping": false}')
    labels = LabelStore(store, "owner")
    lease = lease_of(labels)
    lease.took_over("a")
    assert (lease.before, labels.last_words("owner")) == (LastWords(None), LastWords(None))


def test_a_store_that_does_not_answer_ends_no_calculation(store, monkeypatch, caplog):
    monkeypatch.setattr("pfd_worker.store.lease._TELL_SECONDS", 0.0)
    labels = LabelStore(store, "owner")
    lease = lease_of(labels)
    answers = iter([transient(Reason.STORE_UNAVAILABLE, "nobody answers"), None])

    def renewed(words):
        answer = next(answers)
        if answer is not None:
            raise answer

    monkeypatch.setattr(labels, "tell", renewed)
    for _ in range(2):
        lease.keep()
    assert "nobody answers" in caplog.text and next(answers, "used up") == "used up"
