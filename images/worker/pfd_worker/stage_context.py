"""What a stage gets and gives: its spec, its inputs, a folder to work in; files, and what it found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.outcome import StageOutcome
from pfd_operator.contract.result import Caution
from pfd_operator.contract.stage import Input, LabelParams, Params, StageSpec, stage_digest
from pfd_worker.labelers.fingerprint import fingerprint
from pfd_worker.local_copies import LocalCopies
from pfd_worker.store.at_once import at_once
from pfd_worker.store.left import files_lost
from pfd_worker.store.manifests import Manifest, stored_manifest
from pfd_worker.store.objects import ObjectStore
from pfd_worker.team import ALONE, Team
from pfd_worker.versions import package_versions

_Params = TypeVar("_Params", bound=Params)


@dataclass(frozen=True)
class StageOutput:
    """What a stage has made; the runner stores it and commits."""

    files: dict[str, Path] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    """JSON that later stages read out of the manifest: see `summaries`."""
    outcome: StageOutcome | None = None
    """What the stage found, for the operator."""
    model: str | None = None
    """Name of the file that is the stage's model for users."""
    cautions: Sequence[Caution | None] = ()
    """None is nothing to remark."""
    digest: str | None = None
    """Where to commit if not under the asked digest: prepare adds what it read."""


@dataclass
class StageContext(LocalCopies):
    """Everything a stage function gets."""

    spec: StageSpec
    store: ObjectStore
    workdir: Path
    index: int | None = None
    team: Team = ALONE
    progress: Callable[[float, str], None] = lambda percent, message: None
    """Report percent done and a few words."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set by SIGTERM: save the work and raise `preempted`."""
    _manifests: dict[str, dict[int, Manifest | None]] = field(default_factory=dict)

    def params(self, kind: type[_Params]) -> _Params:
        """Return what the stage is told, by a stage of this kind.

        Raises
        ------
        TypeError
            If it is of another.
        """
        params = self.spec.params
        if not isinstance(params, kind):
            raise TypeError(f"the {self.spec.stage.value} stage is not told {kind.__name__}")
        return params

    @cached_property
    def digest(self) -> str:
        """Where the stage commits: what it was asked as, which indexes its inputs lack, and what its engine is.

        Results without a label must not be found again by an attempt that has the label; nor those of a file in a
        ConfigMap, or of a program, by one that has another of the same name.
        """
        found = [each for each in (self._lacking, self.engine_content) if each]
        return digest_of([self.spec.digest, *found]) if found else self.spec.digest

    @cached_property
    def engine_content(self) -> dict[str, str]:
        """What is to label, by content; empty for a stage without an engine.

        Raises
        ------
        StageError
            As `fingerprint`.
        """
        params = self.spec.params
        engine = params.engine if isinstance(params, LabelParams) else None
        return {} if engine is None else fingerprint(engine, self.workdir)

    @cached_property
    def work_digest(self) -> str:
        """Names work under way, as `digest` does results, but by package versions in place of the image.

        An image may be replaced while a training is stopped; its checkpoints are good as long as the packages are.
        """
        spec = self.spec
        asked = stage_digest(spec.params, spec.seed, spec.iteration, spec.inputs, image="")
        return digest_of([asked, self._lacking, package_versions()])

    @cached_property
    def _lacking(self) -> dict[str, list[int]]:
        return {name: missing for name in sorted(self.spec.inputs) if (missing := self.missing(name))}

    def input(self, name: str) -> list[Manifest]:
        """Return the manifests of an input: one, or those of an indexed stage's indexes that finished.

        Raises
        ------
        StageError
            ArtifactLost, if a stage that is not indexed has no manifest: its result was recorded.
        """
        found = [manifest for manifest in self._read(name).values() if manifest is not None]
        ref = self.spec.inputs[name]
        if not found and ref.completions is None:
            raise files_lost(name, ref.digest, "the manifest")
        return found

    def one(self, name: Input) -> Manifest:
        """Return the manifest of an input that is not indexed.

        Raises
        ------
        StageError
            As `input`.
        """
        return self.input(name)[0]

    def has(self, name: Input) -> bool:
        """Tell whether there is such an input."""
        return name in self.spec.inputs

    def missing(self, name: str) -> list[int]:
        """Return the indexes of an input that have no manifest: of an indexed stage, they failed finally."""
        if self.spec.inputs[name].completions is None:
            return []
        return [index for index, manifest in self._read(name).items() if manifest is None]

    def _read(self, name: str) -> dict[int, Manifest | None]:
        if name not in self._manifests:
            ref = self.spec.inputs[name]
            if ref.completions is None:
                self._manifests[name] = {0: stored_manifest(self.store, ref.digest)}
            else:
                found = at_once(lambda index: stored_manifest(self.store, ref.digest, index), range(ref.completions))
                self._manifests[name] = dict(enumerate(found))
            for manifest in self._manifests[name].values():
                # an index that is passed over as one that has failed would leave its labels out without a word
                if manifest is not None and manifest.lost:
                    raise files_lost(manifest.stage, manifest.digest, "a file")
        return self._manifests[name]
