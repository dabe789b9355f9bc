"""ABINIT: inputs, verdicts on broken runs, and (marked engine) real runs against finite differences."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

from pfd_operator.contract.engine import AbinitEngine
from pfd_operator.contract.systems import Perturb
from pfd_worker.frames import energy_of, virial_of
from pfd_worker.labelers.abinit import AbinitLabeler
from pfd_worker.labelers.k_points import k_mesh
from pfd_worker.labelers.task import AimdSettings, Calculation
from pfd_worker.preparation.variations import perturbed, unvaried
from tests.unit.worker.labelers.derivatives import force_differences, virial_differences

SETTINGS = AbinitEngine(
    cutoff_ev=300,
    k_spacing=0.6,
    pseudopotentials={"Si": "Pseudodojo_nc_sr_04_pbe_standard_psp8/Si.psp8"},
    extra={"toldff": 1e-6},
)
ROOT = Path(__file__).parents[4]
PSEUDOPOTENTIALS = "/usr/share/abinit/psp"


def shifted(atoms, by):
    atoms.positions[:, 2] += by
    atoms.wrap()
    return atoms


def boxed(atoms, vacuum):
    atoms.center(vacuum=vacuum)
    atoms.pbc = True
    return atoms


def distorted():
    atoms = bulk("Si")
    atoms.rattle(0.08, seed=2)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.01 * np.diag([1, -1, 0.5])), scale_atoms=True)
    return atoms


def test_all_frames_of_a_structure_have_its_mesh():
    given = bulk("Si", cubic=True)
    given.info = {"frame": 0}
    settings = SETTINGS.model_copy(update={"k_spacing": 2 * np.pi / 5.43 / 2})
    perturb = Perturb(count=20, strain=0.05)
    starts = perturbed(unvaried([given], perturb, "diamond"), perturb, "diamond", seed=1)
    assert len({str(k_mesh(atoms.cell.array, settings.k_spacing)) for atoms in starts}) > 1
    for atoms in starts:
        assert AbinitLabeler(settings).variables(Calculation(atoms))["ngkpt"] == [2, 2, 2]
    given.set_cell(0.9 * given.cell.array)
    assert AbinitLabeler(settings).variables(Calculation(given))["ngkpt"] == [3, 3, 3]


@pytest.mark.parametrize(
    ("extra", "criteria"),
    [
        ({}, {"tolvrs": 1e-5}),
        ({"toldff": 1e-6}, {"toldff": 1e-6}),
        ({"tolwfr": 1e-18}, {"tolwfr": 1e-18}),
    ],
)
def test_one_criterion_ends_a_cycle(extra, criteria):
    settings = SETTINGS.model_copy(update={"extra": extra})
    variables = AbinitLabeler(settings).variables(Calculation(bulk("Si")))
    assert {name: value for name, value in variables.items() if name.startswith("tol")} == criteria


@pytest.mark.parametrize(
    ("atoms", "variables"),
    [
        (bulk("Si"), {}),
        (bulk("Cs", cubic=True), {}),
        (fcc111("Al", (1, 1, 4), vacuum=6, periodic=True), {"diemac": 12.0}),
        # the cell's edge may lie anywhere
        (shifted(fcc111("Al", (1, 1, 4), vacuum=6, periodic=True), 8.0), {"diemac": 12.0}),
        (boxed(molecule("H2O"), 5.0), {"diemac": 12.0}),
    ],
)
def test_screening_is_not_that_of_a_metal_where_there_is_vacuum(atoms, variables):
    settings = SETTINGS.model_copy(update={"pseudopotentials": dict.fromkeys(set(atoms.get_chemical_symbols()), "x")})
    found = AbinitLabeler(settings).variables(Calculation(atoms))
    assert {name: value for name, value in found.items() if name == "diemac"} == variables
    asked = settings.model_copy(update={"extra": {"diemac": 3.0}})
    assert AbinitLabeler(asked).variables(Calculation(atoms))["diemac"] == 3.0


def test_inputs_name_types_in_order_of_appearance_and_extra_wins():
    atoms = bulk("SiC", "zincblende", a=4.35)
    settings = SETTINGS.model_copy(update={"pseudopotentials": {"C": "/abs/C.psp8", "Si": "Si.psp8"}})
    variables = AbinitLabeler(settings).variables(Calculation(atoms))
    assert variables["znucl"] == [14, 6]
    assert variables["typat"] == [1, 2]
    assert variables["pseudos"] == '"@ABI_PSPDIR@/Si.psp8, /abs/C.psp8"'
    assert variables["toldff"] == 1e-6
    assert "ionmov" not in variables


@pytest.mark.parametrize(
    ("symbols", "lpawu"), [("NiO", [2, -1]), ("ONi", [-1, 2]), ("O2", [-1]), ("Ni", [2]), ("CONi", [-1, -1, 2])]
)
def test_a_variable_by_element_is_written_in_the_order_of_the_frames_types(tmp_path, symbols, lpawu):
    files = {"Ni": "Ni.xml", "O": "O.xml", "C": "C.xml"}
    extra = {"lpawu": {"O": -1, "Ni": 2, "C": -1}, "chempot": {"O": [[0, 1.5]], "Ni": [[0, 2]], "C": [[0, 0]]}}
    atoms = Atoms(symbols, positions=np.eye(3)[: len(Atoms(symbols))] * 2, cell=[6, 6, 6], pbc=True)
    task = Calculation(atoms)
    labeler = AbinitLabeler(SETTINGS.model_copy(update={"pseudopotentials": files, "extra": extra}))
    assert labeler.variables(task)["lpawu"] == lpawu
    labeler.write_inputs(task, tmp_path)
    lines = (tmp_path / "run.abi.in").read_text().splitlines()
    assert f"lpawu {' '.join(map(str, lpawu))}" in lines
    potentials = {"O": "0 1.5", "Ni": "0 2", "C": "0 0"}
    assert f"chempot {' '.join(potentials[symbol] for symbol in dict.fromkeys(atoms.symbols))}" in lines


@pytest.mark.parametrize(
    ("output", "exit_code", "reason"),
    [
        ("", 137, "EngineKilled"),
        ("", 124, "TimedOut"),
        ("nstep= 80 was not enough SCF cycles to converge;\n Calculation completed.", 0, "ScfNotConverged"),
        ("half an output", 0, "EngineError"),
        ("Calculation completed.", 14, "EngineError"),
        ("Calculation completed.", 0, "OutputUnreadable"),
    ],
)
def test_what_is_not_a_complete_converged_run_is_a_failed_label(tmp_path, output, exit_code, reason):
    (tmp_path / "run.abo").write_text(output)
    (tmp_path / "engine.out").write_text("early line\n" * 50 + "the last words\n")
    verdict = AbinitLabeler(SETTINGS).read_outputs(Calculation(distorted()), tmp_path, exit_code)
    assert verdict.reason == reason
    assert verdict.message.endswith("the last words")


def run(task: Calculation, folder: Path, settings: AbinitEngine = SETTINGS):
    folder.mkdir(parents=True)
    labeler = AbinitLabeler(settings)
    labeler.write_inputs(task, folder)
    image = [
        ROOT / "hack/images/run-in.sh",
        "-v",
        f"{folder}:{folder}",
        "-e",
        f"ABI_PSPDIR={PSEUDOPOTENTIALS}",
        "abinit",
    ]
    with (folder / "engine.out").open("w") as log:
        command = [*image, "sh", "-c", f"cd {folder} && sh ./command.sh"]
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
    return labeler.read_outputs(task, folder, ended.returncode)


@pytest.mark.engine
def test_labels_are_derivatives_of_their_energy(tmp_path):
    runs = iter(range(1000))

    def compute(atoms):
        verdict = run(Calculation(atoms), tmp_path / str(next(runs)))
        assert verdict.ok, verdict.message
        return verdict.frames[0]

    atoms = distorted()
    assert np.abs(force_differences(compute, atoms, [(0, 0), (1, 2)], 0.01)).max() < 5e-3
    # what is left is the Pulay stress that ecutsm does not remove, at this low cutoff
    assert np.abs(virial_differences(compute, atoms, [(0, 0), (0, 1)], 2e-3)).max() < 5e-2


@pytest.mark.engine
def test_a_trajectory_has_its_steps_and_its_first_frame_is_the_single_point(tmp_path):
    task = Calculation(distorted(), AimdSettings(steps=3, temperature_kelvin=600, timestep_fs=1, seed=4))
    verdict = run(task, tmp_path / "aimd")
    assert verdict.ok, verdict.message
    first, second, _ = verdict.frames
    single = run(Calculation(task.atoms), tmp_path / "scf").frames[0]
    np.testing.assert_allclose(first.positions, task.atoms.positions, atol=1e-6)
    assert energy_of(first) == pytest.approx(energy_of(single), abs=1e-5)
    np.testing.assert_allclose(first.get_forces(), single.get_forces(), atol=1e-3)
    np.testing.assert_allclose(virial_of(first), virial_of(single), atol=1e-2)
    # 1 fs at the velocities we drew, in ASE's units (Å and 10.18 fs), up to the acceleration
    moved = second.positions - first.positions
    np.testing.assert_allclose(moved, task.start().get_velocities() * 0.0982269, atol=1e-3)


@pytest.mark.engine
def test_steps_before_one_that_fails_are_kept(tmp_path):
    task = Calculation(distorted(), AimdSettings(steps=3, temperature_kelvin=600, timestep_fs=1, seed=4))
    folder = tmp_path / "aimd"
    whole = run(task, folder).frames
    killed = AbinitLabeler(SETTINGS).read_outputs(task, folder, 124)
    assert (killed.reason, len(killed.frames)) == ("TimedOut", 2)
    # as ABINIT writes it of the cycle of the second step, before it goes on
    output = folder / "run.abo"
    before, second, third = output.read_text().split("--- Iteration: (")[1:4]
    told = ["", before, f"{second} scprqt:  WARNING - nstep was not enough SCF cycles to converge;", third]
    output.write_text("--- Iteration: (".join(told) + "Calculation completed")
    verdict = AbinitLabeler(SETTINGS).read_outputs(task, folder, 0)
    assert (verdict.reason, len(verdict.frames)) == ("ScfNotConverged", 1)
    assert energy_of(verdict.frames[0]) == energy_of(whole[0])


@pytest.mark.engine
def test_too_few_cycles_are_a_failed_label(tmp_path):
    settings = SETTINGS.model_copy(update={"extra": {"nstep": 2, "toldff": 1e-8}})
    verdict = run(Calculation(distorted()), tmp_path / "scf", settings)
    assert verdict.reason == "ScfNotConverged"
