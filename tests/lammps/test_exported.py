"""The exported folder in the LAMMPS image: its input runs, and energies and forces are those of Python."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "lammps"
INSIDE = Path("/src/build/lammps")
SINGLE_POINT = """\
units metal
boundary p p p
atom_style atomic
read_data data.lammps
pair_style deepmd {model}
pair_coeff * * Ni Cu
thermo_style custom step pe
thermo_modify format float %.12f
dump forces all custom 1 forces.dump id fx fy fz
dump_modify forces sort id format float %.12f
run 0
"""


def run_in(image: str, *command: str) -> str:
    program = ROOT / "hack" / "images" / "run-in.sh"
    done = subprocess.run([program, image, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def expected():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    paths = "PYTHONPATH=/src/operator:/src/images/worker:/src"
    run_in("worker-test-deps", "env", paths, "python", "-m", "tests.lammps.export_student", str(INSIDE))
    return json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("model", ["frozen.pth", "compressed.pth"])
def test_energy_and_forces_are_those_of_python(expected, model):
    (FOLDER / "point.lammps").write_text(SINGLE_POINT.format(model=model))
    output = run_in("lammps", "sh", "-c", f"cd {INSIDE} && lmp -in point.lammps")
    lines = output.splitlines()
    row = next(number for number, line in enumerate(lines) if line.split() == ["Step", "PotEng"])
    energy = float(lines[row + 1].split()[1])
    forces = np.loadtxt(FOLDER / "forces.dump", skiprows=9)[:, 1:]
    # an untrained model has small forces, so the limits are far below what a real one needs (1e-6 eV/atom, 1e-5 eV/Å)
    assert energy == pytest.approx(expected[model]["energy"], abs=1e-9 * len(forces))
    np.testing.assert_allclose(forces, expected[model]["forces"], atol=1e-9)
    assert np.abs(forces).max() > 1e-5


@pytest.mark.parametrize(("folder", "barostat"), [(".", "iso"), ("flexible", "tri")])
def test_the_exported_input_runs(expected, folder, barostat):
    assert f" {barostat} " in (FOLDER / folder / "in.lammps").read_text()
    variables = "-var steps 20 -var repeat 2 -var dump 10"
    output = run_in("lammps", "sh", "-c", f"cd {INSIDE}/{folder} && lmp -in in.lammps {variables}")
    assert "Loop time of" in output and "ERROR" not in output
    frames = read(FOLDER / folder / "dump.lammpstrj", index=":", format="lammps-dump-text")
    given = read(FOLDER / folder / "structure.extxyz")
    assert [len(atoms) for atoms in frames] == [8 * len(given)] * 3
    assert set(frames[0].symbols) == set(given.symbols)
    assert ("triclinic box" in output) == (barostat == "tri")
