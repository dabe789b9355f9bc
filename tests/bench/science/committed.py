"""The pools and the pre-trained model as they were built once and committed: every run chooses from the same frames.

python -m tests.bench.science.committed pack build/science       # after build.py
python -m tests.bench.science.committed unpack build/science
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

DATA = Path(__file__).with_name("data")
MODEL = "pretrained.pt"
SUFFIX = ".tar.xz"


def pack(folder: Path, data: Path = DATA) -> None:
    """Write the trajectories of each pool that was built into one compressed file, and the model beside them."""
    data.mkdir(exist_ok=True)
    shutil.copyfile(folder / MODEL, data / MODEL)
    for pool in sorted({path.parent for path in folder.glob("*/pool-*.extxyz")}):
        with tarfile.open(data / f"{pool.name}{SUFFIX}", "w:xz", preset=9) as archive:
            for path in sorted(pool.glob("*.extxyz")):
                archive.add(path, path.name, filter=_nameless)


def unpack(folder: Path, data: Path = DATA) -> None:
    """Put them where the benchmark reads them; files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MODEL).exists():
        shutil.copyfile(data / MODEL, folder / MODEL)
    for packed in sorted(data.glob(f"*{SUFFIX}")):
        pool = folder / packed.name.removesuffix(SUFFIX)
        with tarfile.open(packed) as archive:
            for member in archive:
                if not (pool / member.name).exists():
                    archive.extract(member, pool, filter="data")


def _nameless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who packed it and when: equal frames give equal bytes."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    {"pack": pack, "unpack": unpack}[sys.argv[1]](Path(sys.argv[2]))
