"""Copies of stored files in a stage's folder, each downloaded and checked once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.result import Reason
from pfd_worker.errors import AbsentError, StageError, transient, user_error
from pfd_worker.input_limits import InputLimits, TooLargeError
from pfd_worker.store.at_once import at_once
from pfd_worker.store.left import files_lost
from pfd_worker.store.manifests import Manifest, StoredFile, fetch_file, fetch_parts, mark, sha256_of
from pfd_worker.store.objects import ObjectStore


class LocalCopies:
    """What reads files of a store into a folder."""

    store: ObjectStore
    workdir: Path

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

    def fetch_uri(
        self,
        uri: str,
        field: str | None = None,
        absent: Reason = Reason.MODEL_NOT_FOUND,
        limits: InputLimits | None = None,
    ) -> Path:
        """Return a local copy of what a user's address points to.

        Parameters
        ----------
        uri
            The address.
        field
            Where the spec names it, for messages.
        absent
            The reason if there is nothing, or too much.
        limits
            What is too large is not downloaded.
        """
        path = self.workdir / "inputs" / digest_of(uri)[:16] / uri.rpartition("/")[2]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                if limits is not None:
                    limits.check_bytes(self.store.size_of(uri))
                self.store.download_uri(uri, path)
            except TooLargeError as error:
                raise user_error(absent, f"{field}: {uri} {error}.") from error
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
