"""Where a report comes from: settings, software and the digest of everything that was read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pfd_worker.stage_context import StageContext
from pfd_worker.versions import package_versions


@dataclass(frozen=True)
class InputFile:
    """A file of an earlier stage."""

    stage: str
    index: int | None
    name: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What must be equal for a report to come out equal."""

    digest: str
    """Of the train stage: names settings, seed, inputs and image."""
    seed: int
    settings: dict[str, Any]
    """Parameters of the train stage, as JSON."""
    packages: dict[str, str]
    stages: dict[str, str]
    """Digest of each input stage."""
    inputs: tuple[InputFile, ...]


def provenance_of(context: StageContext) -> Provenance:
    """Gather what a stage was told and what its input stages left."""
    spec = context.spec
    files = [
        InputFile(stage, manifest.index, name, file.sha256)
        for stage in sorted(spec.inputs)
        for manifest in context.input(stage)
        for name, file in sorted(manifest.files.items())
    ]
    return Provenance(
        digest=context.digest,
        seed=spec.seed,
        settings=spec.params.to_json(),
        packages=package_versions(),
        stages={name: ref.digest for name, ref in sorted(spec.inputs.items())},
        inputs=tuple(files),
    )
