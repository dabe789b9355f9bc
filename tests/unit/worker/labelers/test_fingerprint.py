"""What of a calculator's code is part of a label's key."""

import importlib
import importlib.metadata

import pytest

from pfd_operator.contract.engine import Engine
from pfd_worker.labelers.fingerprint import fingerprint


def found(calculator: str, folder) -> dict[str, str]:
    return fingerprint(Engine.model_validate({"ase": {"calculator": calculator}}), folder)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of modules that no distribution has brought."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        importlib.invalidate_caches()

    return write


def test_what_a_distribution_has_brought_is_told_by_its_version_alone(tmp_path):
    assert found("ase.calculators.emt:EMT", tmp_path) == {"ase": importlib.metadata.version("ase")}


def test_a_module_of_ones_own_is_told_by_its_code(site, tmp_path):
    site("pfd_test_checked.py", "class Checked: ...")
    first = found("pfd_test_checked:Checked", tmp_path)
    assert set(first) == {"code:pfd_test_checked"}
    assert found("pfd_test_checked:Checked", tmp_path) == first
    site("pfd_test_checked.py", "class Checked: threshold = 1e-6")
    assert found("pfd_test_checked:Checked", tmp_path) != first


def test_so_is_a_package_with_all_its_modules(site, tmp_path):
    site("pfd_test_codes/__init__.py", "")
    site("pfd_test_codes/vasp.py", "class Checked: ...")
    site("pfd_test_codes/common.py", "LIMIT = 1")
    first = found("pfd_test_codes.vasp:Checked", tmp_path)
    site("pfd_test_codes/notes.txt", "no code")
    assert found("pfd_test_codes.vasp:Checked", tmp_path) == first
    site("pfd_test_codes/common.py", "LIMIT = 2")
    assert found("pfd_test_codes.vasp:Checked", tmp_path) != first


def test_what_is_not_there_has_no_code(tmp_path):
    assert found("pfd_test_nowhere:Thing", tmp_path) == {}
