"""A store that does not heed the condition of a put is found out before anything is paid for."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.stub import Stubber

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.store.conditions import PROBES, check_conditional_puts
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


def test_without_the_right_to_delete_the_probe_stays(tmp_path):
    class Keeping(DirectoryStore):
        def delete(self, key):
            raise StageError(ExitCode.USER_ERROR, Reason.STORE_DENIED, "403")

    store = Keeping(tmp_path)
    check_conditional_puts(store)
    check_conditional_puts(store)
    assert len(store.list(PROBES)) == 2
