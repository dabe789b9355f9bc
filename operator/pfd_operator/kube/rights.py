"""Which namespaces the API server lets this operator serve: one that lost its Role must not stop the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from pfd_operator.api.kinds import KINDS

from .api import ApiError, KubeApi
from .children import JOBS, PODS
from .resources import collection_path

log = logging.getLogger(__name__)

LOOK_SECONDS = 120.0
AGAIN_SECONDS = 10.0
"""An API server that has just started may refuse for a moment what it grants."""


async def refusals(api: KubeApi, namespaces: Sequence[str]) -> dict[str, str]:
    """Return the namespaces in which a list is refused, with what the server said.

    Raises
    ------
    ApiError
        If the server does not answer, so that it is not known.
    """
    said = await asyncio.gather(*(_refusal(api, namespace) for namespace in namespaces))
    return {namespace: words for namespace, words in zip(namespaces, said, strict=True) if words}


async def until_changed(
    api: KubeApi, namespaces: Sequence[str], refused: Collection[str], denied: Callable[[], bool]
) -> None:
    """Return when other namespaces are refused than `refused`, and stay so for a moment.

    Parameters
    ----------
    api
        Asked only if some are refused or `denied` says so: in the steady state there are watches and no requests.
    namespaces
        All that are to be served.
    refused
        Those that are not.
    denied
        Whether a watch of one that is served is refused now.
    """
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if not refused and not denied():
            continue
        first = await _known_refusals(api, namespaces)
        if first is None or set(first) == set(refused):
            continue
        await asyncio.sleep(AGAIN_SECONDS)
        second = await _known_refusals(api, namespaces)
        if second is not None and set(second) == set(first):
            return


async def _known_refusals(api: KubeApi, namespaces: Sequence[str]) -> Mapping[str, str] | None:
    try:
        return await refusals(api, namespaces)
    except ApiError as error:
        log.warning("whether rights have changed is not known: %s", error)
        return None


async def _refusal(api: KubeApi, namespace: str) -> str:
    children = (path.format(f"/namespaces/{namespace}") for path in (JOBS, PODS))
    for path in (*(collection_path(kind, namespace) for kind in KINDS), *children):
        try:
            await api.request("GET", path, query={"limit": "1"})
        except ApiError as error:
            if error.status == 403:
                return error.message
            # custom resources may be defined a moment later
            if error.status != 404:
                raise
    return ""
