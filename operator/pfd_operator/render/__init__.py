"""Draw what the planner decided as Kubernetes manifests: pure functions from values to dicts."""

from .children import config_map_manifest, service_manifest
from .errors import RenderError
from .job import job_manifest

__all__ = ["RenderError", "config_map_manifest", "job_manifest", "service_manifest"]
