"""Where the results of a job are, and the keys to them: what its pods know, as far as the user may read it."""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from pfd_operator.api.job import Artifacts, S3Artifacts
from pfd_operator.contract.s3_keys import S3_KEYS, unusable_key
from pfd_operator.kube.api import ApiError, KubeApi
from pfd_operator.kube.resources import Key, Snapshot, in_words

from .reading import CannotShow, read_job, status_of
from .tables import printable


@dataclass(frozen=True)
class Results:
    """Where the files of a job's best model are."""

    key: Key
    model: str
    """Which model it is, in words."""
    s3: S3Artifacts
    folder: str
    """Of the stage that made the model, below the prefix: stages/<digest>."""
    keys: Mapping[str, str] = field(repr=False)
    """Parameters of boto3's session; without any it takes what it finds in the environment."""
    whose_keys: str
    ca_bundle: str | None


class _Spec(BaseModel):
    """What is needed of a spec."""

    artifacts: Artifacts


async def results_of(api: KubeApi, namespace: str, name: str) -> Results:
    """Return where the results of a job are and what they are read with.

    Raises
    ------
    CannotShow
        If there is no such job, it has no model, or it was written for a newer version.
    ApiError
        If the API server refuses.
    """
    snapshot = await read_job(api, namespace, name)
    s3 = _store_of(snapshot)
    model, folder = _best_model(snapshot, s3)
    keys = await _keys(api, namespace, s3.credentials_secret)
    return Results(
        key=snapshot.key,
        model=model,
        s3=s3,
        folder=folder,
        keys=keys,
        whose_keys=f"the keys of Secret {s3.credentials_secret}" if keys else "your own AWS environment",
        ca_bundle=await _ca_bundle(api, namespace, s3.ca_bundle_config_map),
    )


def _store_of(snapshot: Snapshot) -> S3Artifacts:
    try:
        return _Spec.model_validate(snapshot.body.get("spec")).artifacts.s3
    except ValidationError as error:
        raise CannotShow(f"{in_words(error)}; if it is of a newer operator, upgrade kubectl-pfd") from error


def _best_model(snapshot: Snapshot, s3: S3Artifacts) -> tuple[str, str]:
    """Return which model it is, in words, and the folder of the stage that made it."""
    status, key = status_of(snapshot), snapshot.key
    job = f"{key.kind} {key.namespace}/{key.name} ({status.phase.value})"
    if status.model is None:
        when = "it ended without one" if status.phase.terminal else "it will have one after its first training"
        raise CannotShow(f"{job} has no model: {when} (kubectl pfd status {key.name})")
    root = f"s3://{s3.bucket}/{s3.prefix.strip('/')}".rstrip("/")
    found = re.match(rf"{re.escape(root)}/(stages/[^/]+)/", status.model.uri)
    if found is None:
        raise CannotShow(f"the model of {job} is not below {root}/stages/, where its stages write: {status.model.uri}")
    so_far = "" if status.phase.terminal else ", the best so far"
    return f"{job}: model of iteration {status.model.iteration}{so_far}", found.group(1)


async def _keys(api: KubeApi, namespace: str, secret: str | None) -> dict[str, str]:
    if secret is None:
        return {}
    try:
        data = (await api.request("GET", f"/api/v1/namespaces/{namespace}/secrets/{secret}")).get("data") or {}
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        _say(f"Secret {secret} with the job's keys is not read, but your own AWS environment: {error.message}")
        return {}
    # of empty ones boto3 makes none, and takes those of the environment
    missing = [name for name, required in S3_KEYS.items() if required and not data.get(name)]
    if missing:
        raise CannotShow(f"Secret {secret} in namespace {namespace} has no {' and no '.join(missing)}")
    # what is no text, as of a shell that writes UTF-16, is no key either
    keys = {name: b64decode(data[name]).decode(errors="surrogateescape") for name in S3_KEYS if name in data}
    fault = unusable_key(keys)
    if fault is not None:
        raise CannotShow(f"Secret {secret} in namespace {namespace}: {fault}")
    # boto3's parameters have the same names in small letters
    return {name.lower(): value for name, value in keys.items()}


async def _ca_bundle(api: KubeApi, namespace: str, config_map: str | None) -> str | None:
    if config_map is None:
        return None
    data = (await api.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/{config_map}")).get("data") or {}
    if "ca.crt" not in data:
        raise CannotShow(f"ConfigMap {config_map} in namespace {namespace} has no ca.crt")
    return str(data["ca.crt"])


def _say(remark: str) -> None:
    sys.stderr.write(f"kubectl pfd: {printable(remark)}\n")
