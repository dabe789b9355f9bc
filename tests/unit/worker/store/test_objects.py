"""What both stores promise: the same to stages, errors in the user's words."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.stage_context import StageContext
from pfd_worker.store.manifests import fetch_file, store_file
from pfd_worker.store.objects import DirectoryStore
from pfd_worker.store.s3 import S3Store


def test_what_is_put_is_got_and_listed(store):
    assert store.get("a/b") is None
    assert store.age_seconds("a/b") is None
    assert store.list("a/") == []
    store.put("a/b", b"one")
    store.put("a/b", b"two")
    store.put("a/c/d", b"")
    store.put("ab", b"not below a/")
    assert store.get("a/b") == b"two"
    assert store.age_seconds("a/c/d") is not None
    assert store.list("a/") == ["a/b", "a/c/d"]
    store.delete("a/b")
    store.delete("a/b")
    assert store.get("a/b") is None


@pytest.fixture
def file_of(store, request, tmp_path):
    """Key → the file in which the store keeps an object: both have folders of such."""
    if isinstance(store, DirectoryStore):
        return lambda key: tmp_path / "store" / key
    server, place = request.getfixturevalue("server"), request.getfixturevalue("s3_location")
    return lambda key: server.folder / place.bucket / place.prefix / key


def test_an_object_is_as_old_as_its_last_change(store, file_of):
    assert store.age_seconds("a") is None
    store.put("a", b"one")
    written = time.time() - 1000
    os.utime(file_of("a"), (written, written))
    # S3 tells whole seconds
    assert 999 <= store.age_seconds("a") < 1100
    store.put("a", b"two")
    assert store.age_seconds("a") < 100


def test_of_many_conditional_puts_one_succeeds(store):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.put_if_absent("claims/x", str(n).encode()), range(16)))
    assert won.count(True) == 1
    assert store.get("claims/x") == str(won.index(True)).encode()


def test_files_above_the_multipart_threshold_come_back_equal(store, tmp_path):
    payload = tmp_path / "payload"
    payload.write_bytes(bytes(range(256)) * 4096 * 10)
    stored = store_file(store, payload, "big/payload")
    fetch_file(store, stored, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == payload.read_bytes()
    assert stored.bytes == payload.stat().st_size


def test_an_empty_file_comes_back_empty(store, tmp_path):
    """It is asked for by a range that it does not have."""
    payload = tmp_path / "payload"
    payload.touch()
    fetch_file(store, store_file(store, payload, "payload"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_a_changed_object_is_corrupt(store, tmp_path):
    payload = tmp_path / "payload"
    payload.write_bytes(b"forces")
    stored = store_file(store, payload, "payload")
    store.put("payload", b"farces")
    with pytest.raises(StageError) as caught:
        fetch_file(store, stored, tmp_path / "back")
    assert caught.value.reason is Reason.OBJECT_CORRUPT
    assert "payload" in caught.value.message


def test_an_address_is_fetched_and_an_absent_one_is_the_users_error(store, tmp_path):
    store.put("model.pt", b"weights")
    store.download_uri(store.uri("model.pt"), tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == b"weights"
    with pytest.raises(StageError) as caught:
        store.download_uri(store.uri("absent.pt"), tmp_path / "absent.pt")
    assert (caught.value.reason, caught.value.exit_code) == (Reason.MODEL_NOT_FOUND, ExitCode.USER_ERROR)


def test_what_is_below_an_address_is_listed_with_its_size(store):
    assert store.sizes_below(store.uri("data/"), 10) == {}
    for name, content in {"data/a": b"1", "data/b/c": b"22", "data.txt": b"not below data/"}.items():
        store.put(name, content)
    assert store.sizes_below(store.uri("data/"), 10) == {"a": 1, "b/c": 2}
    assert len(store.sizes_below(store.uri("data/"), 1)) == 1


@pytest.mark.parametrize("name", ["run#2.pt", "what?.extxyz", "50%25.pt"])
def test_names_of_objects_are_no_web_addresses(store, tmp_path, name):
    store.put(name, b"weights")
    store.put(name[:3], b"another's")
    store.download_uri(store.uri(name), tmp_path / "here")
    assert (tmp_path / "here").read_bytes() == b"weights"


def test_a_fetched_address_keeps_its_ending(tmp_path):
    store = DirectoryStore(tmp_path / "store")
    store.put("run#2.pth", b"weights")
    fetched = StageContext(spec=None, store=store, workdir=tmp_path).fetch_uri(store.uri("run#2.pth"))
    assert fetched.name == "run#2.pth" and fetched.read_bytes() == b"weights"


def test_prefixes_keep_jobs_apart(s3_location):
    here, there = S3Store(s3_location), S3Store(s3_location.model_copy(update={"prefix": "another"}))
    here.put("key", b"1")
    assert there.get("key") is None
    assert there.list("") == []


@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        ({"bucket": "no-such-bucket"}, "tester", Reason.BUCKET_NOT_FOUND),
        ({}, "somebody-else", Reason.STORE_DENIED),
    ],
)
def test_wrong_bucket_or_credentials_are_the_users_errors(s3_location, monkeypatch, change, key, reason):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    store = S3Store(s3_location.model_copy(update=change))
    for use in (lambda: store.put("k", b""), lambda: store.list(""), lambda: store.get("k")):
        with pytest.raises(StageError) as caught:
            use()
        assert (caught.value.reason, caught.value.exit_code) == (reason, ExitCode.USER_ERROR)
        assert "spec.artifacts.s3" in caught.value.message


def test_a_server_that_does_not_answer_is_transient(s3_location):
    store = S3Store(s3_location.model_copy(update={"endpoint": "http://127.0.0.1:9"}), patience_seconds=0)
    with pytest.raises(StageError) as caught:
        store.get("k")
    assert (caught.value.reason, caught.value.exit_code) == (Reason.STORE_UNAVAILABLE, ExitCode.TRANSIENT)


def test_a_folder_reads_no_s3_addresses(tmp_path):
    with pytest.raises(StageError, match="file://"):
        DirectoryStore(tmp_path).download_uri("s3://bucket/model.pt", tmp_path / "model.pt")


def test_a_part_of_an_object(store):
    store.put("frames", b"0123456789")
    assert store.get_part("frames", 3, 4) == b"3456"
    assert store.get_part("frames", 0, 10) == b"0123456789"
    assert store.get_part("nothing", 0, 4) is None
    assert (store.get_part("frames", 8, 4), store.get_part("frames", 12, 4)) == (b"89", b"")


def test_the_size_of_what_a_user_names_is_known_before_it_is_fetched(store):
    store.put("a", 3 * b"abc")
    assert store.size_of(store.uri("a")) == 9
    with pytest.raises(StageError) as caught:
        store.size_of(store.uri("b"))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.MODEL_NOT_FOUND)
    assert store.uri("b") in caught.value.message
