"""Errors of S3 in the user's words: who has to act, and what the server said."""

from __future__ import annotations

import os
from pathlib import Path

from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from s3transfer.exceptions import S3DownloadFailedError, S3ValidationError

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, absent, preempted, transient, user_error

_REPLACED = (S3DownloadFailedError, S3ValidationError)
FAILURES = (ClientError, BotoCoreError, Boto3Error, *_REPLACED)
"""What boto3 raises of a request, or of a transfer of several."""
# 409 is not among them: another put of the same key was on its way and may fail, so S3 wants this one repeated
TAKEN = frozenset({"PreconditionFailed", "412"})
"""Codes of a conditional put that say that there is an object already."""
WORDLESS = frozenset({"400", "403", "404"})
"""Codes of an answer that only says that something is refused or absent, as each to a HEAD does."""
BEYOND_END = frozenset({"InvalidRange", "416"})
"""Codes of a get that say that the object ends before the part that is asked for."""

_ABSENT = frozenset({"NoSuchKey", "NotFound"})
# XAdminUserNotFound is versitygw's word for an unknown access key
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "Forbidden",
        "XAdminUserNotFound",
        "InvalidToken",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired", "RequestExpired"})
# so MinIO, and whoever has forgotten them, calls temporary keys that have expired
_UNKNOWN = frozenset({"InvalidAccessKeyId", "InvalidToken"})
# refused as if the request were wrong, though it was damaged or late on its way, or the server or this node is behind
_MAY_PASS = frozenset(
    {
        "RequestTimeout",
        "IncompleteBody",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "RequestTimeTooSkewed",
        "NoSuchUpload",
        "PreconditionFailed",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
    }
)
_MAY_PASS_STATUSES = frozenset({408, 409, 425, 429})


def explained(error: Exception, where: str, address: str, has_answered: bool) -> StageError:
    """Return what a failed request means in the user's words.

    Parameters
    ----------
    where
        Bucket and endpoint.
    address
        Of the object that was asked for.
    has_answered
        Whether the store has heeded our keys before.
    """
    code = code_of(error) if isinstance(error, ClientError) else type(error).__name__
    # to all requests but a HEAD a store says in words what is absent
    is_head = isinstance(error, ClientError) and error.operation_name == "HeadObject"
    if code in _ABSENT or (code == "404" and is_head):
        return absent(f"{address}: there is no such object")
    if code in _DENIED | _EXPIRED or isinstance(error, NoCredentialsError | PartialCredentialsError):
        return _denied(error, code, where, address, has_answered)
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if isinstance(error, SSLError) and bundle and not Path(bundle).is_file():
        return user_error(
            Reason.CA_BUNDLE_MISSING,
            f"spec.artifacts.s3.caBundleConfigMap: there is no CA bundle at {bundle}, so {where} cannot be "
            "trusted. The ConfigMap must be in the job's namespace and hold the bundle under the key ca.crt.",
        )
    if isinstance(error, ClientError):
        return _refused(error, where, address)
    if isinstance(error, _REPLACED):
        return transient(
            Reason.STORE_UNAVAILABLE,
            f"{address} was replaced while it was read, so that its parts are of different objects ({error}). Let it "
            "be until it is read, or give what changes another name.",
        )
    return transient(Reason.STORE_UNAVAILABLE, f"{where} does not answer for {address}: {_kind_of(error)}")


def _kind_of(error: Exception) -> str:
    """Return what happened to a request that got no answer."""
    kind = type(error).__name__
    if not isinstance(error, HTTPClientError):
        return f"{kind}: {error}"
    # its text may quote the headers of the request, and with them the keys
    inner = error.kwargs.get("error")
    return f"{kind} ({type(inner).__name__})" if isinstance(inner, Exception) else kind


def _denied(error: Exception, code: str, where: str, address: str, has_answered: bool) -> StageError:
    if code in _EXPIRED or (code in _UNKNOWN and os.environ.get("AWS_SESSION_TOKEN")):
        return _expired(error, where, has_answered)
    request = f" to {error.operation_name} of {address}" if isinstance(error, ClientError) else ""
    return user_error(
        Reason.STORE_DENIED,
        f"spec.artifacts.s3: {where} refuses access{request} ({code}). Check credentialsSecret (keys "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and that they may read, write, list and delete there.",
    )


def _refused(error: ClientError, where: str, address: str) -> StageError:
    """Explain an answer whose code has no meaning of its own above."""
    code = code_of(error)
    if code == "NoSuchBucket":
        return user_error(
            Reason.BUCKET_NOT_FOUND,
            f"spec.artifacts.s3: there is no bucket at {where}. Create it or correct bucket and endpoint.",
        )
    if code == "NotImplemented":
        return user_error(
            Reason.STORE_UNSUITABLE,
            f"spec.artifacts.s3: {where} cannot do what is asked for {address}: {error}. Objects must be put "
            "with If-None-Match: *, as AWS S3 does it; use a store that can.",
        )
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code == "404":
        # a proxy says so for the seconds in which its route is drawn anew, and for good where nothing is behind it
        return transient(
            Reason.STORE_UNAVAILABLE,
            f"{where} answers for {address} with HTTP status 404 and no word of S3's, as a proxy or web server does "
            "that knows no store there. If it stays so, correct the endpoint in spec.artifacts.s3.",
        )
    if code in _MAY_PASS or status in _MAY_PASS_STATUSES or not 300 <= status < 500:
        return transient(Reason.STORE_UNAVAILABLE, f"{where} cannot serve {address} now: {error}")
    return user_error(
        Reason.STORE_REFUSED,
        f"spec.artifacts.s3: {where} refuses what is asked for {address} (HTTP status {status}): {error}. "
        "Correct what it names: endpoint, region, quota, or a policy of the bucket.",
    )


def _expired(error: Exception, where: str, has_answered: bool) -> StageError:
    """Explain temporary keys that are too old: this pod has those of its start, the next one what is in the Secret."""
    what = f"spec.artifacts.s3: the temporary keys of credentialsSecret for {where} have expired"
    if has_answered:
        return preempted(f"{what}: {error}. The next pod goes on with those that the Secret holds then.")
    return transient(
        Reason.STORE_DENIED,
        f"{what} before this pod began: {error}. Renew them in the Secret in time: how long they must last is in "
        "docs/operations.md, section 'Temporary keys'.",
    )


def cause_of(error: Exception) -> Exception:
    """Return what went wrong in a transfer of several requests, which boto3 wraps in errors of its own."""
    inner = getattr(error, "last_exception", None) or error.__context__
    return inner if isinstance(error, Boto3Error) and isinstance(inner, ClientError | BotoCoreError) else error


def code_of(error: ClientError) -> str:
    """Return the server's code, such as NoSuchKey; of an answer without words the HTTP status."""
    # a web page instead of S3's XML has no code
    code = error.response.get("Error", {}).get("Code")
    return str(code or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
