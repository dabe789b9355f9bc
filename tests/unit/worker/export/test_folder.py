import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule, surface
from ase.calculators.emt import EMT
from ase.geometry import get_distances
from ase.io import read

from pfd_operator.contract.exploration import Barostat
from pfd_operator.contract.outcome import AcceptanceErrors
from pfd_worker.export.folder import ModelFiles, export_model
from pfd_worker.export.markdown import card_markdown
from tests.unit.worker.export.cards import full_card


@pytest.fixture
def model(tmp_path):
    files = {name: tmp_path / f"source-{name}" for name in ("checkpoint", "frozen", "compressed")}
    for name, path in files.items():
        path.write_bytes(f"the {name} model".encode())
    return ModelFiles(**files)


@pytest.fixture
def alloy():
    atoms = bulk("Cu", a=3.6).repeat((3, 3, 2))
    atoms.symbols[::3] = "Ni"
    atoms.rattle(0.05, seed=1)
    atoms.info["stratum"] = "alloy/900K"
    return atoms


def test_the_manifest_holds_digest_and_size_of_every_other_file(tmp_path, model, alloy):
    written = export_model(tmp_path / "model", model, alloy, full_card())
    assert set(written) == {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.pt", "frozen.pth", "compressed.pth", "structure.extxyz", "run_ase.py", "data.lammps", "in.lammps",
        "card.json", "card.md", "manifest.json",
    }  # fmt: skip
    manifest = json.loads(written["manifest.json"].read_text())
    assert set(manifest["files"]) == set(written) - {"manifest.json"}
    for name, entry in manifest["files"].items():
        content = written[name].read_bytes()
        assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert written["compressed.pth"].read_bytes() == b"the compressed model"


def test_the_same_model_is_exported_to_the_same_bytes(tmp_path, model, alloy):
    first = export_model(tmp_path / "one", model, alloy, full_card())
    second = export_model(tmp_path / "two", model, alloy, full_card())
    assert first["manifest.json"].read_bytes() == second["manifest.json"].read_bytes()


def test_lammps_reads_the_same_atoms_in_the_models_order_of_types(tmp_path, model, alloy):
    written = export_model(tmp_path / "model", model, alloy, full_card(type_map=("Ni", "Al", "Cu")))
    text = written["in.lammps"].read_text()
    assert "mass 1 58.6934  # Ni\nmass 2 26.9815  # Al\nmass 3 63.5460  # Cu\n" in text
    assert "pair_coeff * * Ni Al Cu\n" in text and "units metal\n" in text
    assert "variable model index compressed.pth" in text and "timestep 0.002 " in text
    assert "npt temp ${temperature} ${temperature} 0.1 iso ${pressure} ${pressure} 1" in text
    assert "variable repeat index 1 " in text and "dump_modify frames element Ni Al Cu\n" in text
    assert text.index("read_data data.lammps\nreplicate ${repeat} ${repeat} ${repeat}\n") < text.index("mass 1")
    assert "3 atom types" in written["data.lammps"].read_text()
    back = read(written["data.lammps"], format="lammps-data", Z_of_type={1: 28, 2: 13, 3: 29}, units="metal")
    np.testing.assert_array_equal(back.numbers, alloy.numbers)
    assert back.get_volume() == pytest.approx(alloy.get_volume())
    # the box is turned and reduced, distances stay
    there = get_distances(back.positions, cell=back.cell, pbc=True)[1]
    here = get_distances(alloy.positions, cell=alloy.cell, pbc=True)[1]
    np.testing.assert_allclose(there, here, atol=1e-8)


def test_the_energy_of_the_lammps_structure_is_that_of_the_sample(tmp_path, model, alloy):
    written = export_model(tmp_path / "model", model, alloy, full_card())
    back = read(written["data.lammps"], format="lammps-data", Z_of_type={1: 28, 2: 29}, units="metal")
    energies = []
    for atoms in (alloy, back, read(written["structure.extxyz"])):
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    np.testing.assert_allclose(energies, energies[0], atol=1e-6)


def test_constant_volume_without_a_pressure_and_the_frozen_model_without_a_compressed_one(tmp_path, model, alloy):
    written = export_model(tmp_path, replace(model, compressed=None), alloy, full_card(pressure_bar=None))
    text = written["in.lammps"].read_text()
    assert "fix integrate all nvt temp" in text and "pressure" not in text
    assert "variable model index frozen.pth" in text and "compressed.pth" not in written
    assert 'here / "frozen.pth"' in written["run_ase.py"].read_text()


def test_the_vacuum_of_a_slab_is_not_repeated(tmp_path, model):
    slab = surface(bulk("Cu"), (1, 1, 1), 3, vacuum=6, periodic=True)
    slab.info["slab"] = True
    written = export_model(tmp_path, model, slab, full_card(pressure_bar=None))
    text = written["in.lammps"].read_text()
    assert "\nreplicate ${repeat} ${repeat} 1\n" in text and "along its first two vectors\n" in text
    back = read(written["data.lammps"], format="lammps-data", Z_of_type={1: 28, 2: 29}, units="metal")
    np.testing.assert_allclose(back.cell.array[2], [0, 0, np.ptp(slab.positions[:, 2]) + 12], atol=1e-8)


@pytest.mark.parametrize("start", [bulk("Cu", cubic=True), bulk("Cu")], ids=["right-angled", "leaning"])
def test_a_flexible_cell_moves_in_lammps_whatever_its_angles(tmp_path, model, start):
    written = export_model(tmp_path, model, start.repeat(2), full_card(barostat=Barostat.FLEXIBLE))
    assert "0.1 tri ${pressure} ${pressure} 1\n" in written["in.lammps"].read_text()
    assert "xy xz yz" in written["data.lammps"].read_text()
    assert json.loads(written["card.json"].read_text())["conditions"]["barostat"] == "Flexible"


def test_a_molecule_has_no_lammps_box(tmp_path, model):
    written = export_model(tmp_path, model, molecule("CO"), full_card(type_map=("C", "O")))
    assert not {"in.lammps", "data.lammps"} & set(written)
    assert "lmp -in" not in written["card.md"].read_text()


def test_an_element_the_model_does_not_know_is_named(tmp_path, model):
    with pytest.raises(ValueError, match=r"contains Al, which the model does not know \(it knows Ni, Cu\)"):
        export_model(tmp_path, model, Atoms("AlCu", cell=[4] * 3, pbc=True), full_card())


def test_card_json_says_what_the_card_knows(tmp_path, model, alloy):
    card = json.loads(export_model(tmp_path, model, alloy, full_card())["card.json"].read_text())
    assert card["accepted"] is True and card["summary"] == "All 4 checks hold."
    assert card["typeMap"] == ["Ni", "Cu"] and card["training"]["frames"] == {"alloy": 300, "nickel": 80}
    assert card["againstTeacher"]["forceRmse"] == 0.05
    assert card["speed"][0]["medianMsPerStep"] == 12.5 and card["speed"][3]["fits"] is False
    assert card["stability"]["alloy"][0]["ensemble"] == "NPT" and card["rdfOverlap"] == {"alloy": {"Cu-Ni": 0.97}}
    assert card["training"]["temperaturesKelvin"] == {"low": 300, "high": 900}
    assert card["files"]["frozen.pth"]["sha256"] == hashlib.sha256(b"the frozen model").hexdigest()


def with_results(card, **changes):
    return replace(card, results=replace(card.results, **changes))


def test_a_value_that_is_not_a_number_is_refused(tmp_path, model, alloy):
    with pytest.raises(ValueError, match="not JSON compliant"):
        export_model(tmp_path, model, alloy, with_results(full_card(), rdf_overlap={"alloy": {"Cu-Ni": math.nan}}))


def test_the_card_in_words(tmp_path, model, alloy):
    text = export_model(tmp_path, model, alloy, full_card())["card.md"].read_text()
    for words in (
        "# alloy-small\n",
        "**Accepted:** all 4 limits hold.",
        "- temperature: 300 to 900 K; means of MD at each condition: 296 to 888 K\n- pressure: 1 bar\n",
        "- systems: alloy (300 to 900 K, 1 bar), nickel (300 K)\n",
        "380 frames with energies, forces and virials of the teacher, 3 rounds.",
        "| student against teacher | 16 | 0.0500 (0.0450 to 0.0550) | 2.10 | 13.00 | 0.0750 (alloy/900K/1bar) |",
        "Median of 20 MD steps of alloy with energy",
        "| 108 | 12.5 | 100 | 8.0× |",
        "| 4000 | 500 | – | – |",
        "- teacher, 4000 atoms: out of memory: CUDA out of memory",
        "Largest cell run: student 4000 atoms, teacher 108 atoms.",
        "- alloy, NPT, 900 K, 1 bar: 10 of 10 ps, at 893 K in the mean, density 8.100 to 8.600 g/cm³",
        "- alloy, g(r) of Cu-Ni overlaps with the teacher's by 0.970",
        "+0.02 meV/atom/ps (within 0.11 meV/atom of a straight line)",
        f"`{hashlib.sha256(b'the frozen model').hexdigest()}`",
    ):
        assert words in text


def test_the_card_of_md_that_kept_its_cell_tells_of_no_pressure():
    card = full_card(pressure_bar=None)
    text = card_markdown(replace(card, training=replace(card.training, pressures_bar=None)), {}, {})
    assert "\n- pressure: none, MD kept its cell\n" in text


@pytest.mark.parametrize(("rms", "rough"), [(1.0, False), (0.2, True)])
def test_the_card_tells_the_force_error_beside_the_forces(rms, rough):
    card = full_card()
    against = card.results.errors.holdout.model_copy(update={"label_force_rms": rms})
    text = card_markdown(with_results(card, errors=AcceptanceErrors(holdout=against)), {}, {})
    assert f"force error is {100 * against.force_rmse / rms:.0f} % of the RMS force" in text
    assert ("**MD with it is rough**" in text) == rough


def test_a_refused_student_says_so_first_and_why(tmp_path, model, alloy):
    text = export_model(tmp_path, model, alloy, full_card(force_limit=0.04))["card.md"].read_text()
    assert "**Refused:** 1 of 4 limits do not hold." in text
    first = next(line for line in text.splitlines() if line.startswith("- "))
    assert first == "- ✗ force RMSE against the teacher is 0.05 eV/Å, more than the 0.04 eV/Å asked for"


def test_the_card_says_where_a_median_is_of_few_steps():
    card = full_card()
    speed = [replace(each, steps=3, note="3 steps instead of 20 in 61.0 s") for each in card.results.speed]
    assert "Of fewer steps" not in card_markdown(card, {}, {})
    text = card_markdown(with_results(card, speed=speed), {}, {})
    assert "**Of fewer steps where it is said below**" in text and "- teacher, 108 atoms: 3 steps instead of 20" in text


def test_what_was_not_measured_is_not_hidden(tmp_path, model, alloy):
    errors = full_card().results.errors.model_copy(update={"dft": None})
    bare = with_results(full_card(), errors=errors, speed=(), nve_drift={}, stability={}, rdf_overlap={})
    text = export_model(tmp_path, model, alloy, bare)["card.md"].read_text()
    assert "| student against DFT | not measured |" in text and text.count("Not measured.") == 2


def test_dft_frames_of_the_users_are_named_with_what_their_energies_mean(tmp_path, model, alloy):
    given = with_results(full_card(), dft_files={"s3://pfd/test.extxyz": "cd" * 32})
    files = export_model(tmp_path, model, alloy, given)
    text = files["card.md"].read_text()
    assert f"DFT frames: s3://pfd/test.extxyz (sha256 `{'cd' * 32}`). Their energies" in text
    assert json.loads(files["card.json"].read_text())["dftFiles"] == {"s3://pfd/test.extxyz": "cd" * 32}


STUBS = {
    "torch/__init__.py": "class _C:\n    _jit_set_texpr_fuser_enabled = staticmethod(lambda on: None)\n",
    "deepmd/__init__.py": "",
    # as deepmd-kit's own: no stress without a cell
    "deepmd/calculator.py": """
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT

class DP(EMT):
    def __init__(self, model):
        super().__init__()

    def calculate(self, atoms, properties, system_changes):
        if "stress" in properties and not any(atoms.pbc):
            raise PropertyNotImplementedError
        super().calculate(atoms, properties, system_changes)
""",
}


@pytest.mark.parametrize(
    ("sample", "types", "pressures"),
    [(bulk("Cu", cubic=True), ("Cu",), 1), (molecule("CO"), ("C", "O"), 0)],
    ids=["crystal", "molecule"],
)
def test_the_script_runs_what_is_periodic_and_what_is_not(tmp_path, model, sample, types, pressures):
    for name, text in STUBS.items():
        (tmp_path / "stubs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stubs" / name).write_text(text)
    script = export_model(tmp_path / "model", model, sample, full_card(type_map=types))["run_ase.py"]
    done = subprocess.run(
        [sys.executable, str(script), "--steps", "10"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "stubs")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    words = [line.split()[0] for line in done.stdout.splitlines()]
    assert words == ["energy", "forces", *["pressure"] * pressures, "step", "step"]
