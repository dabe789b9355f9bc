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
from pfd_operator.contract.result import Caution, Reason
from pfd_operator.contract.stage import Input, LabelParams, Params, StageSpec, stage_digest
from pfd_worker.errors import AbsentError, StageError, transient, user_error
from pfd_worker.labelers.fingerprint import fingerprint
from pfd_worker.store.at_once import at_once
from pfd_worker.store.left import files_lost
from pfd_worker.store.manifests import (
    Manifest,
    StoredFile,
    fetch_file,
    fetch_parts,
    mark,
    sha256_of,
    stored_manifest,
)
from pfd_worker.store.objects import ObjectStore
from pfd_worker.team import ALONE, Team
from pfd_worker.versions import package_versions

__all__ = ["Manifest", "StageContext", "StageOutput"]

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
class StageContext:
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

    def fetch(self, manifest: Manifest, name: str) -> Path:
        """Return a local copy of a file of a manifest, downloaded and checked once.

        Raises
        ------
        StageError
            ArtifactLost, if the file is gone; the manifest counts as none from then on.
        """
        stored = manifest.files[name]
        path = self.workdir / "inputs" / stored.sha256[:16] / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{name}.part")
            try:
                fetch_file(self.store, stored, part)
            except AbsentError as error:
                raise self._lost(manifest, stored) from error
            part.replace(path)
        return path

    def fetch_parts(self, manifest: Manifest, name: str, places: Sequence[tuple[int, int, str]]) -> bytes:
        """Return parts of a file that follow one another: (first byte, number of bytes, sha256) each.

        Raises
        ------
        StageError
            As `fetch`.
        """
        stored = manifest.files[name]
        content = fetch_parts(self.store, stored, places)
        if content is None:
            raise self._lost(manifest, stored)
        return content

    def _lost(self, manifest: Manifest, stored: StoredFile) -> StageError:
        mark(self.store, manifest, lost=True)
        return files_lost(manifest.stage, manifest.digest, self.store.uri(stored.key))

    def fetch_all(self, manifests: Sequence[Manifest], name: str) -> list[Path]:
        """Return local copies of the files of one name of many manifests, in their order, several fetched at a time."""
        # equal files share a local copy, which only one download may write
        different = {manifest.files[name].sha256: manifest for manifest in manifests}
        fetched = at_once(lambda manifest: self.fetch(manifest, name), different.values())
        paths = dict(zip(different, fetched, strict=True))
        return [paths[manifest.files[name].sha256] for manifest in manifests]

    def fetch_uri(self, uri: str, field: str | None = None, absent: Reason = Reason.MODEL_NOT_FOUND) -> Path:
        """Return a local copy of what a user's address points to.

        Parameters
        ----------
        uri
            The address.
        field
            Where the spec names it, for messages.
        absent
            The reason if there is nothing.
        """
        path = self.workdir / "inputs" / digest_of(uri)[:16] / uri.rpartition("/")[2]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.store.download_uri(uri, path)
            except StageError as error:
                if field is None or error.reason is not Reason.MODEL_NOT_FOUND:
                    raise
                raise user_error(absent, f"{field}: {error.message}") from error
        return path

    def fetch_from(self, manifest_uri: str, name: str) -> Path:
        """Return a local, checked copy of a file of another job's stage, by the address of its manifest.

        Raises
        ------
        StageError
            ArtifactLost, if one of the two is gone.
        """
        root, _, place = manifest_uri.rpartition("stages/")
        address = manifest_uri
        try:
            stored = Manifest.from_bytes(self.fetch_uri(address).read_bytes()).files[name]
            address = root + stored.key
            path = self.fetch_uri(address)
        except AbsentError as error:
            # its job may have another store: what is written there is not ours
            raise files_lost("other job's", place.partition("/")[0], address) from error
        if sha256_of(path) != stored.sha256:
            raise transient(Reason.OBJECT_CORRUPT, f"{address} is not what was stored there")
        return path

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
