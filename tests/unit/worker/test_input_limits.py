"""Files of users that are larger than is read are refused by what is in them, before it is read."""

import gzip

import pytest

from pfd_worker.input_limits import LABELLED, STRUCTURES, InputLimits, TooLargeError

FRAME = '1\nLattice="9 0 0 0 9 0 0 0 9"\nCu 0 0 0\n'
LIMITS = InputLimits(file_bytes=1000, frames=3, atoms=4)


def test_what_real_users_have_is_read():
    for limits in (LABELLED, STRUCTURES):
        assert limits.frames >= 10**5 and limits.atoms >= 10**4
    # 10⁵ frames of 200 atoms, with forces, a line of 105 bytes each
    assert LABELLED.file_bytes > 10**5 * 200 * 105
    assert STRUCTURES.file_bytes > 100 * 10**4 * 105


def refused(check, path, text):
    path.write_text(text)
    with pytest.raises(TooLargeError) as caught:
        check(path)
    return str(caught.value)


def test_as_many_as_allowed_are_read_and_one_more_is_not(tmp_path):
    path = tmp_path / "x.extxyz"
    path.write_text(3 * FRAME + "\n")
    LIMITS.check_file(path)
    LIMITS.check_extended_xyz(path)
    assert refused(LIMITS.check_extended_xyz, path, 4 * FRAME).startswith("has more than 3 frames")
    assert refused(LIMITS.check_file, path, 1001 * "x").startswith("has 0 MiB, and at most 0 MiB")


@pytest.mark.parametrize("frame", ["5\n\n", f"{10**15}\n\n", "１２３４５\n\n", "5\r\r"])
@pytest.mark.parametrize("before", ["", FRAME, FRAME + "VEC1 9 0 0\n"])
def test_a_frame_is_believed_to_have_as_many_atoms_as_it_says(tmp_path, before, frame):
    found = refused(LIMITS.check_extended_xyz, tmp_path / "x.extxyz", before + frame)
    assert f"atoms in frame {before.count('Lattice')}, and a frame has at most 4" in found


def test_a_file_without_an_end_of_a_line_is_not_read_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.input_limits._LONGEST_LINE", 500)
    assert "a line of more than" in refused(LIMITS.check_extended_xyz, tmp_path / "x.extxyz", "1\n" + 600 * "x")


def test_what_is_no_extended_xyz_is_left_to_its_reader(tmp_path):
    path = tmp_path / "x.extxyz"
    for text in ("", "\n", "none\n", "2\n\nCu 0 0 0\n", FRAME + "rest\n"):
        path.write_text(text)
        LIMITS.check_extended_xyz(path)


def test_of_a_compressed_file_what_is_in_it_counts(tmp_path):
    path = tmp_path / "x.extxyz.gz"
    path.write_bytes(gzip.compress(b" " * 10**6))
    fits, large = InputLimits(file_bytes=10**6), InputLimits(file_bytes=10**6 - 1)
    fits.check_file(path)
    with pytest.raises(TooLargeError):
        large.check_file(path)
    path.write_bytes(gzip.compress(FRAME.replace("1", "5", 1).encode()))
    with pytest.raises(TooLargeError, match="5 atoms in frame 0"):
        LIMITS.check_extended_xyz(path)
