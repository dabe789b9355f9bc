"""No checksums are sent that an S3 server need not know; what is put is signed with its sha256 all the same."""

from hashlib import sha256

import pytest
from botocore.awsrequest import AWSResponse

from pfd_operator.contract.location import S3Location
from pfd_worker.store.s3 import S3Store

UNASKED = ("x-amz-checksum-", "x-amz-sdk-checksum-", "x-amz-trailer", "x-amz-decoded-content-length")


@pytest.fixture
def sent(monkeypatch):
    """Register a store; returns its requests: operation → headers, in small letters."""
    found = []

    def follow(store, answer=None):
        def note(request, event_name, **_):
            headers = {
                name.lower(): value.decode() if isinstance(value, bytes) else str(value)
                for name, value in request.headers.items()
            }
            found.append((event_name.rpartition(".")[2], headers))
            return answer

        store._client.meta.events.register("before-send.s3", note)
        return found

    return follow


def test_a_store_gets_no_checksums_unasked(s3_location, sent, tmp_path):
    store = S3Store(s3_location)
    requests = sent(store)
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"weights")
    large.write_bytes(bytes(9 * 1024**2))
    store.put("a", b"forces")
    assert store.put_if_absent("b", b"claim")
    for path in (small, large):
        store.upload(path, path.name)
        store.download(path.name, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert store.get("a") == b"forces"
    operations = {operation for operation, _ in requests}
    assert {"PutObject", "UploadPart", "CompleteMultipartUpload", "GetObject"} <= operations
    for operation, headers in requests:
        assert not [name for name in headers if name.startswith(UNASKED)], operation
        assert "aws-chunked" not in headers.get("content-encoding", ""), operation
    (put,) = [headers for operation, headers in requests if operation == "PutObject"][:1]
    assert put["x-amz-content-sha256"] == sha256(b"forces").hexdigest()


def test_what_is_put_is_signed_over_tls_too(credentials, sent):
    store = S3Store(S3Location(bucket="pfd", endpoint="https://s3:9000", region="us-east-1"))

    class Empty:
        def stream(self, **_):
            return iter(())

    requests = sent(store, AWSResponse("https://s3:9000", 200, {}, Empty()))
    store.put("a", b"forces")
    ((_, headers),) = requests
    assert headers["x-amz-content-sha256"] == sha256(b"forces").hexdigest()
