"""How much of what users give is read: more is refused by its size, before it fills the memory of a pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ase import Atoms
from ase.io.formats import get_compression, open_with_compression

_LONGEST_LINE = 16 * 2**20
_BLOCK_BYTES = 2**20


class TooLargeError(Exception):
    """What a user gave is larger than is read. Its words follow the file's name: how large, the limit, what to do."""


@dataclass(frozen=True)
class InputLimits:
    """What is read of a file with structures, labelled or not."""

    file_bytes: int
    """Of text: of a compressed file what is in it."""
    frames: int = 1_000_000
    atoms: int = 100_000
    """Of a frame."""

    def check_bytes(self, found: int) -> None:
        """Refuse a file of so many bytes, if they are too many; raises `TooLargeError`, as all of these do."""
        if found > self.file_bytes:
            raise TooLargeError(
                f"has {found / 2**20:.0f} MiB, and at most {self.file_bytes // 2**20} MiB of a file are read: split "
                "it, or give part of it"
            )

    def check_file(self, path: Path) -> None:
        """Refuse a file that is too large, or holds too much in a compressed form that ASE knows by its name."""
        if get_compression(path.name)[1] is None:
            self.check_bytes(path.stat().st_size)
            return
        found = 0
        with open_with_compression(str(path), "rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                found += len(block)
                self.check_bytes(found)

    def check_extended_xyz(self, path: Path) -> None:
        """Refuse extended XYZ of too many frames, or with one of too many atoms, without reading what is in them.

        A frame is believed to have as many atoms as it says: ASE would wait for them at the end of the file. What is
        no extended XYZ is left to it: it ends, and is told, where it finds the same fault.
        """
        frames = 0
        with open_with_compression(str(path), "r") as stream:
            while (line := _line(stream)).strip():
                if line.lstrip().startswith("VEC"):
                    continue
                try:
                    atoms = int(line)
                except ValueError:
                    return
                self._check_frame(frames, atoms)
                frames += 1
                for _ in range(atoms + 1):
                    if not _line(stream):
                        return

    def counted(self, frames: Iterable[Atoms]) -> Iterator[Atoms]:
        """Return frames as they are read, as long as they are not too many, and none has too many atoms."""
        for number, atoms in enumerate(frames):
            self._check_frame(number, len(atoms))
            yield atoms

    def _check_frame(self, number: int, atoms: int) -> None:
        if number >= self.frames:
            raise TooLargeError(
                f"has more than {self.frames} frames, and no more of a file are read: split it, or give part of it"
            )
        if atoms > self.atoms:
            raise TooLargeError(
                f"has {atoms} atoms in frame {number}, and a frame has at most {self.atoms}: give smaller cells"
            )


STRUCTURES = InputLimits(file_bytes=256 * 2**20)
"""Of a system."""
LABELLED = InputLimits(file_bytes=4 * 2**30)
"""Of a file of data: 10⁵ frames of 300 atoms each, with forces, are some 3 GiB."""


def _line(stream: TextIO) -> str:
    line = stream.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE:
        raise TooLargeError(f"has a line of more than {_LONGEST_LINE // 2**20} MiB, as no extended XYZ has")
    return line
