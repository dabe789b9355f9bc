"""kopf wiring: the watch of the custom resources, start-up, clean-up. Everything else is ours."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import kopf

from pfd_operator.api.job import GROUP, VERSION
from pfd_operator.api.kinds import KINDS
from pfd_operator.kube.api import PAGE_SIZE, ApiError, KubeApi
from pfd_operator.kube.rights import refusals

from .connection import connection
from .operator import Operator
from .settings import RuntimeSettings
from .stateless import NoDiffBase, NoProgress

log = logging.getLogger(__name__)

WORKER_IDLE_SECONDS = 0.5


def registry_for(operator: Operator) -> kopf.OperatorRegistry:
    """Return the handlers of one operator, apart from kopf's global registry."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**options: Any) -> kopf.AiohttpSession:
        return connection(kopf.login_with_service_account(**options) or _same_connection(operator.api))

    # a start that failed ends the process: tried again in it, it would find its own server's port taken
    @kopf.on.startup(registry=registry, errors=kopf.ErrorsMode.PERMANENT)
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        # nothing of kopf is ever written into the users' objects
        settings.posting.enabled = False
        settings.persistence.diffbase_storage = NoDiffBase()
        settings.persistence.progress_storage = NoProgress()
        # watching namespaces and definitions would need rights that nothing else does
        settings.scanning.disabled = True
        # as shipped it holds every object of a list at once, and for 5 s more a task for each
        settings.watching.chunk_size = PAGE_SIZE
        settings.queueing.idle_timeout = WORKER_IDLE_SECONDS
        await operator.start()

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: Any) -> None:
        await operator.stop()

    async def resource_changed(event: kopf.RawEvent, **_: Any) -> None:
        operator.resource_changed(dict(event["object"]), deleted=event["type"] == "DELETED")
        if event["type"] is None:
            operator.listed_anew()

    for kind in KINDS.values():
        kopf.on.event(GROUP, VERSION, kind.plural, registry=registry)(resource_changed)

    return registry


def _same_connection(api: KubeApi) -> kopf.ConnectionInfo:
    """Return what our own client uses: kopf must not find another cluster in another kubeconfig."""
    configuration = api.configuration
    scheme, _, token = configuration.api_key.get("BearerToken", "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token or None,
    )


async def run(settings: RuntimeSettings, stop: asyncio.Event | None = None) -> bool:
    """Run an operator until it is told to stop.

    Returns
    -------
    bool
        True if it was told to stop from outside, False if it had to stop by itself.
    """
    stop = stop or asyncio.Event()
    lost = asyncio.Event()

    def stop_acting() -> None:
        lost.set()
        stop.set()

    refused = await refused_namespaces(settings)
    if settings.namespaces and len(refused) == len(settings.namespaces):
        log.error("no namespace is left to serve")
        return False
    operator = Operator(await KubeApi.connect(settings.kubeconfig), settings, stop_acting, refused)
    await kopf.operator(
        registry=registry_for(operator),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=operator.namespaces,
        stop_flag=stop,
    )
    return not lost.is_set()


async def refused_namespaces(settings: RuntimeSettings) -> list[str]:
    """Return the namespaces that cannot be served, and name them in the log."""
    # over a connection of its own: the operator's are counted from their first request on
    api = await KubeApi.connect(settings.kubeconfig)
    try:
        found = await refusals(api, settings.namespaces)
    except ApiError as error:
        log.warning("whether a namespace is refused is not known, so none is left out: %s", error)
        found = {}
    finally:
        await api.close()
    for namespace, words in found.items():
        log.error(
            "namespace %s is not served: %s. Give the operator its Role there back, and it is served within minutes; "
            "or take it out of the chart's value `namespaces`",
            namespace,
            words,
        )
    return list(found)
