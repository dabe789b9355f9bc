"""Admission policies of the cluster, for the time of a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pfd_operator.kube.api import KubeApi
from tests.until import until

_POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
POLICY_COLLECTIONS = {
    "ValidatingAdmissionPolicy": f"{_POLICIES}ies",
    "ValidatingAdmissionPolicyBinding": f"{_POLICIES}ybindings",
}


@asynccontextmanager
async def in_force(
    api: KubeApi, documents: Sequence[dict[str, Any]], holds: Callable[[], Awaitable[bool]]
) -> AsyncIterator[None]:
    """Make a policy and its binding, and wait until `holds` says that they do."""
    assert sorted(document["kind"] for document in documents) == sorted(POLICY_COLLECTIONS)
    for document in documents:
        await api.request("POST", POLICY_COLLECTIONS[document["kind"]], document)
    try:
        await until(holds, 30, "the policy")
        yield
    finally:
        for document in documents:
            await api.request("DELETE", f"{POLICY_COLLECTIONS[document['kind']]}/{document['metadata']['name']}")
