"""The operator's account, with the rights and under the policies that the chart gives it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pfd_operator.kube.api import ApiError, KubeApi
from tests.control_plane import account_kubeconfig
from tests.integration.policies import POLICY_COLLECTIONS

SYSTEM_NAMESPACE, ACCOUNT = "pfd-system", "pfd"
ADMISSION = "admission"
"""How namespaces begin in which this account tries what the policies refuse, as it does in those of Kubernetes."""
USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{ACCOUNT}"
_COLLECTIONS = {
    **POLICY_COLLECTIONS,
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


@asynccontextmanager
async def account_of(
    api: KubeApi, kubeconfig: Path, documents: Iterable[dict[str, Any]], folder: Path
) -> AsyncIterator[Path]:
    """Make the operator's account with the chart's rights; yields a kubeconfig with its token. All goes again."""
    with contextlib.suppress(ApiError):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM_NAMESPACE}})
    made: list[str] = []
    try:
        for document in documents:
            collection = _COLLECTIONS.get(document["kind"])
            if collection is not None and document["metadata"]["name"].startswith(ACCOUNT):
                place = collection.format(document["metadata"].get("namespace", SYSTEM_NAMESPACE))
                # one that is there is somebody else's, on a cluster that was given: it is not changed
                await api.request("POST", place, document)
                made.append(f"{place}/{document['metadata']['name']}")
        yield await account_kubeconfig(api, kubeconfig, f"{SYSTEM_NAMESPACE}/{ACCOUNT}", folder / "kubeconfig")
    finally:
        for there in reversed(made):
            await api.request("DELETE", there)
