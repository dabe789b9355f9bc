"""The settings in docs/own-engine.md are valid, and its scripts do what they are there for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase import Atoms, units

from pfd_operator.contract.labeling import Labeling
from pfd_operator.contract.selection import Apart
from pfd_operator.contract.systems import System
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.labelers.base import Verdict
from pfd_worker.labelers.program import ProgramLabeler
from pfd_worker.labelers.task import Calculation
from pfd_worker.start_pools import training_starts
from tests.unit.worker.labelers.program_outputs import ENERGY, STRESS_KBAR, cp2k_out, forces_of, salt

PAGE = Path(__file__).parents[4] / "docs" / "own-engine.md"
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)]


def program(name: str) -> Labeling:
    found = [block["labeling"] for block in BLOCKS if name in str(block["labeling"]["image"])]
    return Labeling.model_validate(found[0])


def run(name: str, folder: Path, stand_in: str) -> Verdict:
    """Run the script of an example, with a stand-in for its program."""
    settings = program(name).engine.program
    assert settings is not None
    labeler = ProgramLabeler(settings)
    labeler.write_inputs(Calculation(salt()), folder)
    for file in settings.files_from:
        (folder / file.file).write_text(f"of {file.file}\n")
    (folder / "stand-in").write_text(stand_in)
    ended = subprocess.run(["sh", "run.sh", "sh", "./stand-in"], cwd=folder)
    return labeler.read_outputs(Calculation(salt()), folder, ended.returncode)


def test_settings_are_valid() -> None:
    engines = [Labeling.model_validate(block["labeling"]).engine.chosen()[0] for block in BLOCKS]
    assert engines == ["program"] * 4 + ["ase"]
    assert all(block["aimd"]["steps"] == 1 for block in BLOCKS if "aimd" in block)


def test_as_many_starts_are_labelled_as_the_examples_ask_for() -> None:
    for block in (each for each in BLOCKS if "aimd" in each):
        (system,) = [System.model_validate(each) for each in block["systems"]]
        starts = [Atoms(info={"system": system.name, "variation": number}) for number in range(system.perturb.count)]
        assert len(training_starts(starts, Apart.TRAJECTORIES)) >= block["aimd"]["trajectories"]


@pytest.mark.parametrize(("ending", "reason"), [("SCF run converged in 37 steps", None), ("", "ScfNotConverged")])
def test_cp2k_gives_a_label_if_the_last_cycle_converged(tmp_path: Path, ending: str, reason: str | None) -> None:
    output = tmp_path / "output"
    output.write_text(cp2k_out(salt(), ending))
    verdict = run("cp2k", tmp_path, f'[ "$*" = "-i label.inp -o label.out" ] && cp {output} label.out\n')
    assert verdict.reason == reason, verdict.message
    cell = np.loadtxt(tmp_path / "cell.inc", usecols=(1, 2, 3))
    np.testing.assert_allclose(cell, salt().cell.array, atol=1e-12)
    if not reason:
        (frame,) = verdict.frames
        assert energy_of(frame) == pytest.approx(ENERGY, abs=1e-6)
        np.testing.assert_allclose(frame.get_forces(), forces_of(salt()), atol=1e-5)
        virial = salt().get_volume() * STRESS_KBAR * 0.1 * units.GPa
        np.testing.assert_allclose(virial_of(frame), virial, atol=2e-3)


def test_vasp_finds_a_potcar_in_the_order_of_poscar(tmp_path: Path) -> None:
    for symbol in ("Na", "Cl"):
        (tmp_path / f"POTCAR.{symbol}").write_text(f"of {symbol}\n")
    assert run("vasp", tmp_path, "exit 3\n").reason == "EngineError"
    assert (tmp_path / "POTCAR").read_text() == "of Cl\nof Na\n"


def test_espresso_is_told_of_the_structure(tmp_path: Path) -> None:
    run("espresso", tmp_path, "exit 3\n")
    told = (tmp_path / "pw.in").read_text()
    assert "nat = 8," in told
    structure = (tmp_path / "structure.extxyz").read_text().splitlines()
    assert told.endswith("\n".join(["ATOMIC_POSITIONS angstrom", *structure[2:], ""]))
