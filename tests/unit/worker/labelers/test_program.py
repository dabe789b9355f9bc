"""Any program: what it is given, and what of its outputs is a label."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.io import read

from pfd_operator.contract.program import OutputFormat, ProgramEngine
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.labelers import outputs
from pfd_worker.labelers.base import Verdict
from pfd_worker.labelers.program import ProgramLabeler, poscar_order
from pfd_worker.labelers.task import AimdSettings, Calculation
from tests.unit.worker.labelers import program_outputs
from tests.unit.worker.labelers.program_outputs import ENERGY, STRESS_KBAR, extxyz, forces_of, salt

RESULT = {"file": "result.extxyz", "format": "extxyz"}


def water() -> Atoms:
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=1)
    return atoms


def as_poscar(atoms: Atoms) -> Atoms:
    return atoms[poscar_order(atoms)]


def labeler(**changes) -> ProgramLabeler:
    return ProgramLabeler(ProgramEngine.model_validate({"command": ["sh", "run.sh"]} | changes))


def judged(folder: Path, text: str | None, output: dict = RESULT, atoms: Atoms | None = None, code: int = 0) -> Verdict:
    if text is not None:
        (folder / output["file"]).write_text(text)
    (folder / "engine.out").write_text("early line\n" * 50 + "the last words\n")
    return labeler(output=output).read_outputs(Calculation(atoms or salt()), folder, code)


def test_a_program_finds_the_structure_the_files_and_its_command(tmp_path):
    atoms = salt()
    atoms.info = {"stratum": "hot"}
    atoms.arrays["forces"] = np.ones((len(atoms), 3))
    settings: dict[str, Any] = {"command": ["mpirun", "-np", "2", "my code"], "files": {"INCAR": "ENCUT = 520\n"}}
    settings["filesFrom"] = [{"secret": {"name": "potcars", "key": "POTCAR.Na"}}]
    labeler(**settings).write_inputs(Calculation(atoms), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"structure.extxyz", "POSCAR", "INCAR", "command.sh"}
    written = read(tmp_path / "structure.extxyz")
    assert (written.info, written.calc) == ({}, None)
    assert list(written.symbols) == list(atoms.symbols)
    np.testing.assert_allclose(written.positions, atoms.positions, atol=1e-8)
    np.testing.assert_allclose(written.cell.array, atoms.cell.array, atol=1e-12)
    assert (tmp_path / "POSCAR").read_text().splitlines()[5].split() == ["Cl", "Na"], "each element once"
    np.testing.assert_allclose(read(tmp_path / "POSCAR").positions, as_poscar(atoms).positions, atol=1e-10)
    assert (tmp_path / "INCAR").read_text() == "ENCUT = 520\n"
    command = (tmp_path / "command.sh").read_text()
    assert command == "ln -s /etc/pfd-files/POTCAR.Na . && exec mpirun -np 2 'my code'\n"


def test_what_is_not_periodic_has_no_poscar(tmp_path):
    labeler().write_inputs(Calculation(water()), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"structure.extxyz", "command.sh"}


def test_one_step_of_md_is_its_start_and_more_are_refused(tmp_path):
    md = {"temperature_kelvin": 300.0, "timestep_fs": 1.0, "seed": 1}
    start = Calculation(salt(), AimdSettings(steps=1, **md))
    labeler().write_inputs(start, tmp_path)
    (tmp_path / "result.extxyz").write_text(extxyz(salt()))
    assert len(labeler().read_outputs(start, tmp_path, 0).frames) == 1
    with pytest.raises(ValueError, match="single points only"):
        labeler().write_inputs(Calculation(salt(), AimdSettings(steps=2, **md)), tmp_path)


READ = {
    OutputFormat.EXTXYZ: lambda atoms: extxyz(atoms, f'energy=7 free_energy={ENERGY} stress="{_stress()}"'),
    OutputFormat.VASP_XML: lambda atoms: program_outputs.vasprun(as_poscar(atoms)),
    OutputFormat.VASP_OUT: lambda atoms: program_outputs.outcar(as_poscar(atoms)),
    OutputFormat.ESPRESSO_OUT: program_outputs.pw_out,
}


def _stress() -> str:
    return " ".join(map(str, (-STRESS_KBAR * 0.1 * units.GPa).ravel()))


@pytest.mark.parametrize("kind", READ)
def test_every_format_gives_the_label_in_the_order_of_the_structure(tmp_path, kind):
    atoms = salt()
    verdict = judged(tmp_path, READ[kind](atoms), {"file": "out", "format": kind.value})
    assert verdict.ok, verdict.message
    (frame,) = verdict.frames
    assert energy_of(frame) == pytest.approx(ENERGY, abs=1e-6)
    order = poscar_order(atoms) if kind in (OutputFormat.VASP_XML, OutputFormat.VASP_OUT) else np.arange(len(atoms))
    np.testing.assert_allclose(frame.get_forces()[order], forces_of(atoms), atol=1e-5)
    virial = atoms.get_volume() * STRESS_KBAR * 0.1 * units.GPa
    np.testing.assert_allclose(virial_of(frame), virial, atol=2e-3)
    np.testing.assert_array_equal(frame.positions, atoms.positions)


def test_orca_labels_molecules(tmp_path):
    atoms = water()
    verdict = judged(tmp_path, program_outputs.orca_out(atoms), {"file": "o", "format": "orca-output"}, atoms)
    assert verdict.ok, verdict.message
    assert energy_of(verdict.frames[0]) == pytest.approx(ENERGY, abs=1e-6)
    np.testing.assert_allclose(verdict.frames[0].get_forces(), forces_of(atoms), atol=1e-6)
    assert virial_of(verdict.frames[0]) is None


def test_a_virial_is_taken_as_it_is_and_none_is_needed(tmp_path):
    given = judged(tmp_path, extxyz(salt(), 'energy=1 virial="1 2 3 2 5 6 3 6 9"'))
    np.testing.assert_array_equal(virial_of(given.frames[0]), [[1, 2, 3], [2, 5, 6], [3, 6, 9]])
    assert virial_of(judged(tmp_path, extxyz(salt())).frames[0]) is None


def wrapped() -> Atoms:
    atoms = salt()
    atoms.wrap()
    return atoms


def test_programs_may_move_atoms_by_whole_periods(tmp_path):
    assert np.abs(wrapped().positions - salt().positions).max() > 1
    assert judged(tmp_path, extxyz(wrapped())).ok


def relaxed() -> Atoms:
    atoms = salt()
    atoms.positions[3, 1] += 0.01
    return atoms


def strained() -> Atoms:
    atoms = salt()
    atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=True)
    return atoms


NONE_OF_THIS_STRUCTURE = [
    (extxyz(relaxed()), "0.010 Å from where it was put"),
    (extxyz(strained()), "its cell is another one"),
    (extxyz(salt()[[7, 6, 5, 4, 3, 2, 1, 0]]), "another order"),
    (extxyz(salt()[[2, 1, 0, 3, 4, 5, 6, 7]]), "from where it was put"),
    (extxyz(salt()[:6]), "6 atoms, the structure 8"),
]
NOT_WHOLE = [
    (None, "left no result.extxyz"),
    ("", "result.extxyz (extxyz): "),
    ("nonsense", "result.extxyz (extxyz): "),
    (extxyz(salt()) * 2, "2 frames"),
    (extxyz(salt(), ""), "no energy"),
    (extxyz(salt(), columns=""), "no forces"),
    (extxyz(salt(), "energy=nan"), "not numbers"),
    (extxyz(salt()).replace("-0.5", "nan"), "not numbers"),
    (extxyz(salt(), 'energy=1 stress="nan 0 0 0 0 0 0 0 0"'), "not numbers"),
]


@pytest.mark.parametrize(("text", "words"), [*NONE_OF_THIS_STRUCTURE, *NOT_WHOLE], ids=lambda value: str(value)[:12])
def test_what_is_no_label_of_the_structure_is_none(tmp_path, text, words):
    verdict = judged(tmp_path, text)
    assert (verdict.reason, verdict.frames) == ("OutputUnreadable", ())
    assert words in verdict.message
    assert verdict.message.endswith("the last words")


XML = program_outputs.vasprun(as_poscar(salt()))
OUTCAR = program_outputs.outcar(as_poscar(salt()))
PW = program_outputs.pw_out(salt())
ENTITIES = XML.replace("<modeling>", '<!DOCTYPE m [<!ENTITY a "a">]>\n<modeling>', 1)
UNREACHED = "aborting loop EDIFF was not reached (unconverged)"
HARD_STOP = "aborting loop because hard stop was set"


@pytest.mark.parametrize(
    ("kind", "text", "code", "reason"),
    [
        ("extxyz", extxyz(salt()), 1, "EngineError"),
        ("extxyz", extxyz(salt()), 124, "TimedOut"),
        ("extxyz", extxyz(salt()), 137, "EngineKilled"),
        ("extxyz", extxyz(salt(), "energy=1 converged=F"), 0, "ScfNotConverged"),
        ("extxyz", extxyz(salt(), "energy=1 converged=T"), 0, None),
        ("vasp-xml", program_outputs.vasprun(as_poscar(salt()), 60), 0, "ScfNotConverged"),
        ("vasp-xml", XML[: XML.index("</calculation>")], 0, "OutputUnreadable"),
        ("vasp-xml", XML.replace('varray name="forces"', 'varray name="none"'), 0, "OutputUnreadable"),
        ("vasp-xml", ENTITIES, 0, "OutputUnreadable"),
        ("vasp-out", program_outputs.outcar(as_poscar(salt()), UNREACHED), 0, "ScfNotConverged"),
        ("vasp-out", program_outputs.outcar(as_poscar(salt()), HARD_STOP), 0, "ScfNotConverged"),
        ("vasp-out", program_outputs.outcar(as_poscar(salt()), "it says nothing"), 0, "ScfNotConverged"),
        # VASP 5.4 says that EDIFF is reached then
        ("vasp-out", program_outputs.outcar(as_poscar(salt()), steps=60), 0, "ScfNotConverged"),
        ("vasp-out", OUTCAR * 2, 0, "OutputUnreadable"),
        ("vasp-xml", XML.replace("<calculation>", "<calculation></calculation><calculation>"), 0, "OutputUnreadable"),
        ("vasp-out", OUTCAR[: OUTCAR.index(" General timing")], 0, "OutputUnreadable"),
        # pw.x exits with 2 then
        ("espresso-out", program_outputs.pw_out(salt(), "convergence NOT achieved after"), 2, "ScfNotConverged"),
        ("espresso-out", PW[: PW.index("JOB DONE")], 0, "OutputUnreadable"),
        ("espresso-out", PW.replace("Forces acting on", "Nothing on"), 0, "OutputUnreadable"),
    ],
    ids=lambda value: str(value)[:12].strip(),
)
def test_the_reason_says_what_went_wrong(tmp_path, kind, text, code, reason):
    assert judged(tmp_path, text, {"file": "out", "format": kind}, code=code).reason == reason


def test_orca_says_that_it_did_not_converge(tmp_path):
    text = program_outputs.orca_out(water(), "(Wavefunction not fully converged!)")
    assert judged(tmp_path, text, {"file": "o", "format": "orca-output"}, water()).reason == "ScfNotConverged"


def test_what_only_the_worker_may_read_is_not_read_for_a_program(tmp_path):
    secret = tmp_path / "keys"
    secret.write_text(extxyz(salt()))
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "result.extxyz").symlink_to(secret)
    (folder / "engine.out").symlink_to(secret)
    verdict = labeler().read_outputs(Calculation(salt()), folder, 0)
    assert verdict.reason == "OutputUnreadable"
    assert "a link is not followed" in verdict.message
    assert "Lattice" not in verdict.message


def test_outputs_without_an_end_are_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "result.extxyz")
    assert "no plain file" in judged(tmp_path, None).message
    (tmp_path / "result.extxyz").unlink()
    monkeypatch.setattr(outputs, "LARGEST_BYTES", 2**20)
    verdict = judged(tmp_path, extxyz(salt()) + " " * 2**21)
    assert verdict.reason == "OutputUnreadable"
    assert "has 2 MiB, at most 1 are read" in verdict.message
