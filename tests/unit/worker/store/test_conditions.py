"""What stages need of a store and its keys is found out before anything is paid for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.stub import Stubber

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.store import s3
from pfd_worker.store.conditions import check_conditional_puts, check_rights, check_writable
from pfd_worker.store.objects import DirectoryStore
from pfd_worker.store.s3 import S3Store


@pytest.fixture
def heedless(s3_location):
    """The real server, which is not told of the condition."""
    store = S3Store(s3_location)

    def forget(request, **_):
        del request.headers["If-None-Match"]

    store._client.meta.events.register("before-sign.s3.PutObject", forget)
    return store


def test_a_store_that_heeds_it_is_taken_and_left_as_it_was(store):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: check_conditional_puts(store), range(8)))
    assert store.list("") == []


def test_one_that_does_not_is_named(heedless):
    with pytest.raises(StageError) as caught:
        check_conditional_puts(heedless)
    assert (caught.value.reason, caught.value.exit_code) == (Reason.STORE_UNSUITABLE, ExitCode.USER_ERROR)
    for named in ("spec.artifacts.s3", heedless.uri(""), "If-None-Match"):
        assert named in caught.value.message
    assert heedless.list("") == []


def test_one_that_does_not_know_it_is_named(s3_location):
    store = S3Store(s3_location)
    with Stubber(store._client) as answers, pytest.raises(StageError) as caught:
        answers.add_client_error("put_object", "NotImplemented", "A header implies what is not there", 501)
        check_conditional_puts(store)
    assert (caught.value.reason, caught.value.exit_code) == (Reason.STORE_UNSUITABLE, ExitCode.USER_ERROR)
    assert "If-None-Match" in caught.value.message


def forbidding(folder, method, below):
    """A store whose keys lack one right below a prefix."""

    def denied(self, key, *rest):
        if key.startswith(below):
            raise StageError(ExitCode.USER_ERROR, Reason.STORE_DENIED, f"no {method} (AccessDenied).")
        return getattr(super(kind, self), method)(key, *rest)

    kind = type("Forbidding", (DirectoryStore,), {method: denied})
    return kind(folder)


def test_keys_that_may_do_all_are_taken_and_nothing_is_left(store):
    check_writable(store)
    check_rights(store)
    assert store.list("") == []


@pytest.mark.parametrize(
    ("method", "below", "right"),
    [
        ("put", "", "s3:PutObject"),
        ("list", "claims/", "s3:ListBucket"),
        ("get", "", "s3:GetObject"),
        ("delete", "probes/", "s3:DeleteObject"),
        ("delete", "claims/", "s3:DeleteObject"),
        ("delete", "stages/", "s3:DeleteObject"),
    ],
)
def test_a_right_that_is_missing_is_named_before_anything_is_paid_for(tmp_path, method, below, right):
    with pytest.raises(StageError) as caught:
        check_rights(forbidding(tmp_path, method, below))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STORE_DENIED)
    for named in (f"no {method} (AccessDenied)", f"the right {right} at file://{tmp_path}/{below}", "Rights in S3"):
        assert named in caught.value.message


def test_a_request_that_is_denied_is_named(s3_location):
    store = S3Store(s3_location)
    with Stubber(store._client) as answers, pytest.raises(StageError) as caught:
        answers.add_client_error("delete_object", "AccessDenied", "no", 403)
        store.delete("claims/k/000000")
    assert caught.value.reason is Reason.STORE_DENIED
    assert f"refuses access to DeleteObject of {store.uri('claims/k/000000')} (AccessDenied)" in caught.value.message


def test_keys_that_had_expired_before_a_pod_began_lack_no_right(s3_location, monkeypatch):
    monkeypatch.setattr(s3, "FIRST_PATIENCE_SECONDS", 0.0)
    store = S3Store(s3_location)
    with Stubber(store._client) as answers, pytest.raises(StageError, match="before this pod began") as caught:
        answers.add_client_error("put_object", "ExpiredToken", "The provided token has expired.", 400)
        check_writable(store)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_DENIED)
    assert "needs the right" not in caught.value.message


def test_a_store_that_is_away_is_no_right_that_is_missing(tmp_path):
    class Away(DirectoryStore):
        def list(self, prefix):
            raise StageError(ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE, "503")

    with pytest.raises(StageError, match=r"^503$"):
        check_rights(Away(tmp_path))
