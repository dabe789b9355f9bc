"""What an S3 server refuses for good fails at once in its own words; what may pass is asked for again."""

import io

import pytest
from botocore.exceptions import HTTPClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from pfd_operator.contract.location import S3Location
from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.store import s3
from pfd_worker.store.s3 import S3Store

OBJECT = {"Bucket": "pfd", "Key": "k"}
PUT = {**OBJECT, "Body": b"mine", "IfNoneMatch": "*"}


@pytest.fixture
def waits(monkeypatch):
    found = []
    monkeypatch.setattr(s3.time, "sleep", found.append)
    return found


@pytest.fixture
def scripted(credentials):
    store = S3Store(S3Location(bucket="pfd", endpoint="http://s3:9000", region="us-east-1"))
    with Stubber(store._client) as answers:
        yield store, answers
        answers.assert_no_pending_responses()


def refuse(answers, status, code, method="put_object", expected=OBJECT | {"Body": b"mine"}):
    answers.add_client_error(method, code, f"the server's words about {code}", status, expected_params=expected)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, "InvalidRequest", Reason.STORE_REFUSED),
        (400, "EntityTooLarge", Reason.STORE_REFUSED),
        (400, "InvalidArgument", Reason.STORE_REFUSED),
        (403, "QuotaExceeded", Reason.STORE_REFUSED),
        (405, "MethodNotAllowed", Reason.STORE_REFUSED),
        (413, "413", Reason.STORE_REFUSED),
        (301, "PermanentRedirect", Reason.STORE_REFUSED),
        (400, "InvalidToken", Reason.STORE_DENIED),
    ],
)
def test_what_is_refused_for_good_fails_at_once(scripted, waits, status, code, reason):
    store, answers = scripted
    refuse(answers, status, code)
    with pytest.raises(StageError) as caught:
        store.put("k", b"mine")
    assert (caught.value.exit_code, caught.value.reason, waits) == (ExitCode.USER_ERROR, reason, [])
    assert code in caught.value.message
    if reason is Reason.STORE_REFUSED:
        for said in ("s3://pfd at http://s3:9000", "s3://pfd/k", f"the server's words about {code}"):
            assert said in caught.value.message


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "RequestTimeout"),
        (400, "IncompleteBody"),
        (400, "BadDigest"),
        (403, "RequestTimeTooSkewed"),
        (404, "NoSuchUpload"),
        (408, "408"),
        (409, "OperationAborted"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "SlowDown"),
    ],
)
def test_what_may_pass_is_asked_for_again(scripted, waits, status, code):
    store, answers = scripted
    refuse(answers, status, code)
    answers.add_response("put_object", {}, OBJECT | {"Body": b"mine"})
    store.put("k", b"mine")
    assert waits == [1.0]


def test_what_does_not_pass_is_told_in_the_servers_words(scripted, waits, monkeypatch):
    monkeypatch.setattr(s3, "FIRST_PATIENCE_SECONDS", 0.0)
    store, answers = scripted
    refuse(answers, 503, "SlowDown")
    with pytest.raises(StageError, match="the server's words about SlowDown") as caught:
        store.put("k", b"mine")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE)


def test_a_conditional_put_that_met_another_one_is_tried_again(scripted, waits):
    store, answers = scripted
    refuse(answers, 409, "ConditionalRequestConflict", expected=PUT)
    answers.add_response("put_object", {}, PUT)
    assert store.put_if_absent("k", b"mine")
    assert waits == [1.0]


def test_a_conditional_put_that_another_one_won_is_taken(scripted, waits):
    store, answers = scripted
    refuse(answers, 412, "PreconditionFailed", expected=PUT)
    assert not store.put_if_absent("k", b"mine")
    assert waits == []


EXPIRED = ["ExpiredToken", "TokenRefreshRequired", "RequestExpired", "InvalidAccessKeyId", "InvalidToken"]
LIST = {"Bucket": "pfd", "Prefix": "", "MaxKeys": 1}


@pytest.fixture
def temporary(monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")


@pytest.mark.parametrize("code", EXPIRED)
def test_keys_that_expire_while_a_pod_runs_are_left_to_the_next_pod(scripted, waits, temporary, code):
    store, answers = scripted
    answers.add_response("put_object", {}, OBJECT | {"Body": b"mine"})
    store.put("k", b"mine")
    refuse(answers, 400, code)
    with pytest.raises(StageError, match=rf"credentialsSecret .* expired: .*about {code}\. The next pod") as caught:
        store.put("k", b"mine")
    assert (caught.value.exit_code, waits) == (ExitCode.PREEMPTED, [])


@pytest.mark.parametrize("code", EXPIRED)
def test_keys_that_had_expired_before_a_pod_began_count_as_a_failure(scripted, waits, temporary, monkeypatch, code):
    monkeypatch.setattr(s3, "FIRST_PATIENCE_SECONDS", 0.0)
    store, answers = scripted
    refuse(answers, 400, code)
    with pytest.raises(StageError, match=rf"expired before this pod began: .*words about {code}.*'Temporary") as caught:
        store.put("k", b"mine")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_DENIED)


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId"])
def test_a_head_that_is_refused_without_words_is_explained_by_a_request_that_has_some(
    scripted, temporary, status, code
):
    store, answers = scripted
    answers.add_response("put_object", {}, OBJECT | {"Body": b"mine"})
    store.put("k", b"mine")
    refuse(answers, status, str(status), "head_object", OBJECT)
    refuse(answers, status, code, "list_objects_v2", LIST)
    with pytest.raises(StageError, match=f"the server's words about {code}") as caught:
        store.age_seconds("k")
    assert caught.value.exit_code is ExitCode.PREEMPTED


@pytest.mark.parametrize(("status", "reason"), [(400, Reason.STORE_REFUSED), (403, Reason.STORE_DENIED)])
def test_a_head_that_alone_is_refused_is_of_no_keys_that_have_expired(scripted, temporary, status, reason):
    store, answers = scripted
    answers.add_response("put_object", {}, OBJECT | {"Body": b"mine"})
    store.put("k", b"mine")
    refuse(answers, status, str(status), "head_object", OBJECT)
    answers.add_response("list_objects_v2", {}, LIST)
    with pytest.raises(StageError) as caught:
        store.age_seconds("k")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, reason)


@pytest.mark.parametrize("code", ["404", ""])
@pytest.mark.parametrize(
    ("method", "asked", "request_of"),
    [
        ("put_object", OBJECT | {"Body": b"mine"}, lambda store: store.put("k", b"mine")),
        ("put_object", PUT, lambda store: store.put_if_absent("k", b"mine")),
        ("get_object", OBJECT, lambda store: store.get("k")),
        ("list_objects_v2", {"Bucket": "pfd", "Prefix": "k"}, lambda store: store.list("k")),
        ("head_object", OBJECT, lambda store: store.age_seconds("k")),
    ],
)
def test_a_404_without_the_words_of_s3_is_a_proxys_and_no_object_that_is_gone(
    scripted, waits, monkeypatch, method, asked, request_of, code
):
    monkeypatch.setattr(s3, "FIRST_PATIENCE_SECONDS", 0.0)
    store, answers = scripted
    refuse(answers, 404, code, method, asked)
    refuse(answers, 404, code, "list_objects_v2", LIST)
    with pytest.raises(StageError, match=r"s3://pfd at http://s3:9000 .* correct the endpoint") as caught:
        request_of(store)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE)


def test_a_404_to_a_head_is_of_an_object_that_is_gone_if_the_store_is_there(scripted, waits):
    store, answers = scripted
    refuse(answers, 404, "404", "head_object", OBJECT)
    answers.add_response("list_objects_v2", {}, LIST)
    assert store.age_seconds("k") is None
    assert waits == []


@pytest.mark.parametrize("code", ["NoSuchKey", "NotFound"])
def test_an_object_that_the_store_says_is_not_there_is_not_waited_for(scripted, waits, code):
    store, answers = scripted
    refuse(answers, 404, code, "get_object", OBJECT)
    assert store.get("k") is None
    assert waits == []


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_a_key_with_a_line_break_is_the_users_error_before_anything_is_sent(credentials, monkeypatch, name):
    monkeypatch.setenv(name, "FwoGZXIvYXdzTOKEN\n")
    monkeypatch.setattr("boto3.session.Session", lambda: pytest.fail("no client is to be made"))
    said = rf"^spec\.artifacts\.s3\.credentialsSecret: {name} ends in a line break .* Write it again"
    with pytest.raises(StageError, match=said) as caught:
        S3Store(S3Location(bucket="pfd", endpoint="http://s3:9000"))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STORE_DENIED)
    assert "FwoG" not in caught.value.message


@pytest.mark.parametrize("endpoint", ["http://s3:9000", None])
def test_a_request_that_cannot_be_sent_is_not_quoted(credentials, waits, monkeypatch, endpoint):
    def fail(**_):
        raise HTTPClientError(error=ValueError("Invalid header value b'AWS4-HMAC-SHA256 Credential=tester/...'"))

    monkeypatch.setattr(s3, "FIRST_PATIENCE_SECONDS", 0.0)
    store = S3Store(S3Location(bucket="pfd", endpoint=endpoint, region="eu-west-1"))
    store._client.meta.events.register("before-send.s3", fail)
    with pytest.raises(StageError) as caught:
        store.get("k")
    where = endpoint or "https://s3.eu-west-1.amazonaws.com"
    assert caught.value.message == f"s3://pfd at {where} does not answer for s3://pfd/k: HTTPClientError (ValueError)"
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.TRANSIENT, Reason.STORE_UNAVAILABLE)


PART = OBJECT | {"Range": "bytes=3-6"}


def test_an_object_that_ends_before_the_part_has_nothing_there(scripted):
    store, answers = scripted
    for code in ("InvalidRange", "416"):
        refuse(answers, 416, code, "get_object", PART)
        assert store.get_part("k", 3, 4) == b""


@pytest.mark.parametrize(("content", "more"), [(b"3456", {"ContentRange": "bytes 3-6/10"}), (b"0123456789", {})])
def test_a_part_is_the_same_whether_a_server_heeds_its_range_or_sends_all(scripted, content, more):
    store, answers = scripted
    body = StreamingBody(io.BytesIO(content), len(content))
    answers.add_response("get_object", {"Body": body, **more}, PART)
    assert store.get_part("k", 3, 4) == b"3456"
