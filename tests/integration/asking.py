"""Asking a real API server for something, to hear why it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pfd_operator.kube.api import JSON, MERGE_PATCH, ApiError, KubeApi
from pfd_operator.kube.resources import collection_path
from tests.job_specs import BODIES


async def said_to(api: KubeApi, method: str, path: str, body: Mapping[str, Any], status: int | None = None) -> str:
    """Return why a request is refused, with this status if one is given; nothing if it is not."""
    try:
        await api.request(method, path, body, content_type=MERGE_PATCH if method == "PATCH" else JSON)
    except ApiError as error:
        assert status in (None, error.status), error
        return error.message
    return ""


async def said_to_job(api: KubeApi, namespace: str, kind: str, status: int, **changes: Any) -> str:
    """Return why a job with these fields is refused; nothing if it is not. None is made."""
    path = f"{collection_path(kind, namespace)}?dryRun=All"
    return await said_to(api, "POST", path, BODIES[kind]("tried", **changes), status)
