"""The operator's account, with the rights and under the policies that the chart gives it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from pfd_operator.kube.api import MERGE_PATCH, ApiError, KubeApi
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


async def account_of(api: KubeApi, kubeconfig: Path, documents: Iterable[dict[str, Any]], folder: Path) -> Path:
    """Create the operator's account with the chart's rights; return a kubeconfig with its token."""
    with contextlib.suppress(ApiError):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM_NAMESPACE}})
    for document in documents:
        collection = _COLLECTIONS.get(document["kind"])
        if collection is not None and document["metadata"]["name"].startswith(ACCOUNT):
            place = document["metadata"].get("namespace", SYSTEM_NAMESPACE)
            try:
                await api.request("POST", collection.format(place), document)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                # another test has brought it, perhaps with other values
                there = f"{collection.format(place)}/{document['metadata']['name']}"
                await api.request("PATCH", there, document, content_type=MERGE_PATCH)
    tokens = f"{_COLLECTIONS['ServiceAccount'].format(SYSTEM_NAMESPACE)}/{ACCOUNT}/token"
    token = (await api.request("POST", tokens, {"spec": {"expirationSeconds": 3600}}))["status"]["token"]
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
