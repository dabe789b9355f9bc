"""Settings of the running operator, from environment variables that the chart sets."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pfd_operator.api.stage_pods import StagePods
from pfd_operator.plan.types import Settings

PREFIX = "PFD_"
VARIABLE = "variable"
"""In a field's metadata: its variable without the prefix, where that is not the field's name."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(ValueError):
    """An environment variable is missing or wrong; the message names it."""


def _own_namespace() -> str:
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


@dataclass(frozen=True)
class RuntimeSettings:
    """How this operator runs; each field's variable is PFD_ and its name, or what its metadata name instead."""

    planner: Settings
    namespaces: tuple[str, ...] = ()
    """Separated by commas; empty for the whole cluster."""
    own_namespace: str = field(default_factory=_own_namespace, metadata={VARIABLE: "NAMESPACE"})
    """Where the Lease lives."""
    identity: str = field(default_factory=socket.gethostname)
    """The pod's name."""
    progress_port: int = 8080
    """Where stage pods report; those of running jobs know it."""
    metrics_port: int = 8081
    """Of /metrics, /healthz and /readyz."""
    workers: int = 8
    """Resources reconciled at a time."""
    lease_name: str = field(default="pfd-operator", metadata={VARIABLE: "LEASE"})
    """Operators with the same lease take turns; empty for none."""
    watch_silence_seconds: float = 180.0
    """A watch silent for longer is unhealthy."""
    stuck_queue_seconds: float = 300.0
    """A key that waits longer is unhealthy."""
    kubeconfig: Path | None = None
    """KUBECONFIG, outside a cluster."""
    log_level: str = "INFO"


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
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
        **read.plain_fields(RuntimeSettings),
    )


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str) -> str:
        return self._environment.get(PREFIX + name, default)

    def required(self, name: str) -> str:
        text = self.text(name, "")
        if not text:
            raise SettingsError(f"{PREFIX}{name} is not set: the chart sets it from values.yaml")
        return text

    def plain_fields(self, kind: type[Settings | RuntimeSettings]) -> dict[str, Any]:
        """Read the fields that are words or numbers, each by the type of its default."""
        found: dict[str, Any] = {}
        for each in fields(kind):
            default = each.default if each.default_factory is MISSING else each.default_factory()
            if isinstance(default, str | int | float):
                found[each.name] = self._like(default, each.metadata.get(VARIABLE, each.name.upper()))
        return found

    def _like(self, default: str | float, name: str) -> str | float:
        text = self.text(name, str(default))
        try:
            return text if isinstance(default, str) else type(default)(float(text))
        except ValueError:
            raise SettingsError(f"{PREFIX}{name} must be a number, not {text!r}") from None


def _planner_settings(read: _Reader) -> Settings:
    try:
        engine_images = dict(json.loads(read.text("ENGINE_IMAGES", "{}")))
    except (TypeError, ValueError) as error:
        raise SettingsError(f'{PREFIX}ENGINE_IMAGES must be JSON such as {{"abinit": "…"}}: {error}') from None
    return Settings(
        worker_image=read.required("WORKER_IMAGE"),
        # an empty one is none: else a job would start, and its label stage have nothing to run
        engine_images={str(engine): str(image) for engine, image in engine_images.items() if image},
        calculator_image=read.text("CALCULATOR_IMAGE", "") or None,
        progress_url=read.text("PROGRESS_URL", "") or None,
        stage_pods=_stage_pods(read),
        **read.plain_fields(Settings),
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
