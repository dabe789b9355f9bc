"""What is packed comes out as it was, and equal pools give equal archives."""

from __future__ import annotations

from pathlib import Path

from tests.bench.science.committed import pack, unpack


def _built(folder: Path) -> Path:
    (folder / "salt").mkdir(parents=True)
    (folder / "pretrained.pt").write_bytes(b"parameters")
    for name in ("pool-NaCl-300K-0", "test-NaCl-300K-0"):
        (folder / "salt" / f"{name}.extxyz").write_text(f"frames of {name}\n")
    (folder / "pretrained").mkdir()
    (folder / "pretrained" / "frames.extxyz").write_text("of the model, not of a pool\n")
    return folder


def test_a_packed_pool_comes_out_as_it_was(tmp_path: Path) -> None:
    built, data, again = _built(tmp_path / "built"), tmp_path / "data", tmp_path / "again"
    pack(built, data)
    unpack(again, data)
    assert sorted(path.name for path in again.rglob("*.extxyz")) == [
        "pool-NaCl-300K-0.extxyz",
        "test-NaCl-300K-0.extxyz",
    ]
    for path in again.rglob("*.extxyz"):
        assert path.read_bytes() == (built / "salt" / path.name).read_bytes()
    assert (again / "pretrained.pt").read_bytes() == b"parameters"


def test_what_is_there_stays(tmp_path: Path) -> None:
    built, data = _built(tmp_path / "built"), tmp_path / "data"
    pack(built, data)
    kept = built / "salt" / "pool-NaCl-300K-0.extxyz"
    kept.write_text("changed\n")
    unpack(built, data)
    assert kept.read_text() == "changed\n"


def test_equal_pools_give_equal_archives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack(_built(tmp_path / name), tmp_path / f"data-{name}")
    assert (tmp_path / "data-a" / "salt.tar.xz").read_bytes() == (tmp_path / "data-b" / "salt.tar.xz").read_bytes()
