"""Settings of the running operator, from environment variables that the chart sets."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import ValidationError

from pfd_operator.api.stage_pods import StagePods
from pfd_operator.plan.types import Settings

PREFIX = "PFD_"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(ValueError):
    """An environment variable is missing or wrong; the message names it."""


@dataclass(frozen=True)
class RuntimeSettings:
    """How this operator runs."""

    planner: Settings
    namespaces: tuple[str, ...] = ()
    """PFD_NAMESPACES, comma-separated; empty for the whole cluster."""
    own_namespace: str = "default"
    """PFD_NAMESPACE: where the Lease lives."""
    identity: str = "pfd-operator"
    """PFD_IDENTITY: the pod's name."""
    port: int = 8080
    """PFD_PORT of /healthz, /metrics and /progress."""
    workers: int = 8
    """PFD_WORKERS: resources reconciled at a time."""
    lease_name: str = "pfd-operator"
    """PFD_LEASE: operators with the same lease take turns; empty for none."""
    watch_silence_seconds: float = 180.0
    """PFD_WATCH_SILENCE_SECONDS: a watch silent for longer is unhealthy."""
    stuck_queue_seconds: float = 300.0
    """PFD_STUCK_QUEUE_SECONDS: a key that waits longer is unhealthy."""
    kubeconfig: Path | None = None
    """KUBECONFIG, outside a cluster."""
    log_level: str = "INFO"
    """PFD_LOG_LEVEL."""


def settings_from(environment: Mapping[str, str] = os.environ) -> RuntimeSettings:
    """Read the settings.

    Raises
    ------
    SettingsError
        If a variable is missing or cannot be read.
    """
    read = _Reader(environment)
    kubeconfig = environment.get("KUBECONFIG")
    return RuntimeSettings(
        planner=_planner_settings(read),
        namespaces=tuple(name.strip() for name in read.text("NAMESPACES", "").split(",") if name.strip()),
        own_namespace=read.text("NAMESPACE", _own_namespace()),
        identity=read.text("IDENTITY", socket.gethostname()),
        port=int(read.number("PORT", 8080)),
        workers=int(read.number("WORKERS", 8)),
        lease_name=read.text("LEASE", "pfd-operator"),
        watch_silence_seconds=read.number("WATCH_SILENCE_SECONDS", 180),
        stuck_queue_seconds=read.number("STUCK_QUEUE_SECONDS", 300),
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
        log_level=read.text("LOG_LEVEL", "INFO").upper(),
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str) -> str:
        return self._environment.get(PREFIX + name, default)

    def number(self, name: str, default: float) -> float:
        text = self.text(name, str(default))
        try:
            return float(text)
        except ValueError:
            raise SettingsError(f"{PREFIX}{name} must be a number, not {text!r}") from None

    def required(self, name: str) -> str:
        text = self.text(name, "")
        if not text:
            raise SettingsError(f"{PREFIX}{name} is not set: the chart sets it from values.yaml")
        return text


def _planner_settings(read: _Reader) -> Settings:
    try:
        engine_images = dict(json.loads(read.text("ENGINE_IMAGES", "{}")))
    except (TypeError, ValueError) as error:
        raise SettingsError(f'{PREFIX}ENGINE_IMAGES must be JSON such as {{"abinit": "…"}}: {error}') from None
    # the limits have the types and defaults of the planner's own settings
    limits = {
        field.name: int(read.number(field.name.upper(), float(field.default)))
        for field in fields(Settings)
        if isinstance(field.default, int)
    }
    return Settings(
        worker_image=read.required("WORKER_IMAGE"),
        engine_images={str(engine): str(image) for engine, image in engine_images.items()},
        calculator_image=read.text("CALCULATOR_IMAGE", "") or None,
        progress_url=read.text("PROGRESS_URL", "") or None,
        image_pull_policy=read.text("IMAGE_PULL_POLICY", "IfNotPresent"),
        stage_pods=_stage_pods(read),
        **limits,
    )


def _stage_pods(read: _Reader) -> StagePods:
    try:
        return StagePods.model_validate_json(read.text("STAGE_PODS", "{}"))
    except ValidationError as error:
        wrong = "; ".join(
            ".".join(map(str, (f"{PREFIX}STAGE_PODS", *item["loc"]))) + f": {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False, include_context=False)
        )
        raise SettingsError(wrong) from None


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"
