"""Labelled frames of the user: what of them is kept, and what is refused by file and frame."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from pfd_operator.contract.result import Caution, ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import OF_TRAJECTORY, energy_of, labelled, virial_of, write_frames
from pfd_worker.input_limits import InputLimits
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.preparation.data import FRAMES_TRIED, check_data, given_data
from pfd_worker.stage_context import StageContext
from pfd_worker.training.dataset import split_validation
from tests.unit.worker.stages.loop import TRAINING, Loop

STRESS = [0.01, 0.02, 0.03, 0.0, 0.0, 0.004]


def frame(atoms: Atoms | None = None, info: dict | None = None, **results) -> Atoms:
    atoms = bulk("Cu", cubic=True) if atoms is None else atoms
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((len(atoms), 3)), **results)
    atoms.info |= info or {}
    return atoms


def given(folder, *frames: Atoms) -> list[Atoms]:
    write(folder / "data.extxyz", frames)
    return given_by(folder, folder / "data.extxyz")


def given_by(folder, path) -> list[Atoms]:
    return read_by(folder, path)[0]


def context_of(folder, path) -> StageContext:
    loop = Loop(folder)
    params = {"stage": "prepare", "data": [{"uri": f"file://{path}"}], "training": TRAINING}
    return StageContext(loop.spec(params, 0, {}), loop.store, folder)


def read_by(folder, path) -> tuple[list[Atoms], Caution | None]:
    context = context_of(folder, path)
    return given_data(context, context.spec.params.data, "data", {}, set())


def refused(folder, *frames: Atoms) -> str:
    write(folder / "data.extxyz", frames)
    return refused_of(folder, folder / "data.extxyz")


def refused_of(folder, path) -> str:
    with pytest.raises(StageError) as caught:
        given_by(folder, path)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)
    return str(caught.value)


def test_isolated_atoms_are_left_out_and_counted_by_file(tmp_path):
    # some data sets give the atom its spin
    alone = frame(Atoms("Fe", magmoms=[4.0]))
    boxed = frame(Atoms("Fe", cell=[12, 12, 12], pbc=True))
    crystal, cluster = frame(bulk("Cu")), frame(dimer())
    write(tmp_path / "data.extxyz", [alone, crystal, boxed, cluster])
    frames, caution = read_by(tmp_path, tmp_path / "data.extxyz")
    assert [str(atoms.symbols) for atoms in frames] == ["Cu", "Cu2"]
    assert caution.reason == "IsolatedAtomsLeftOut" and "2 of spec.data[0]" in caution.message
    write(tmp_path / "others.extxyz", [crystal, cluster])
    assert read_by(tmp_path, tmp_path / "others.extxyz")[1] is None


@pytest.mark.parametrize(("masses", "told"), [([64.93, 62.93], {"spec.data[0]"}), ([63.0, 64.0], set())])
def test_masses_of_isotopes_are_told_by_file_and_rounded_ones_are_not(tmp_path, masses, told):
    given_masses = dimer()
    given_masses.set_masses(masses)
    write(tmp_path / "data.extxyz", [frame(dimer()), frame(given_masses)])
    context, with_masses = context_of(tmp_path, tmp_path / "data.extxyz"), set()
    given_data(context, context.spec.params.data, "data", {}, with_masses)
    assert with_masses == told


def dimer() -> Atoms:
    return Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]])


@pytest.mark.parametrize("info", [{}, {"virial": np.eye(3)}])
def test_a_molecule_has_no_virial_whatever_its_file_says(tmp_path, info):
    (atoms,) = given(tmp_path, frame(dimer(), info, stress=STRESS))
    assert virial_of(atoms) is None
    assert "virial" not in atoms.info


def test_a_sheet_without_a_third_cell_vector_has_no_virial(tmp_path):
    sheet = Atoms("Cu", cell=[[2.5, 0, 0], [0, 2.5, 0], [0, 0, 0]], pbc=[True, True, False])
    assert virial_of(given(tmp_path, frame(sheet, stress=STRESS))[0]) is None


def test_a_stress_becomes_the_virial_and_frames_say_where_they_are_from(tmp_path):
    atoms = given(tmp_path, frame(stress=STRESS, info={"label": "mine"}))[0]
    np.testing.assert_allclose(virial_of(atoms).diagonal(), -bulk("Cu", cubic=True).get_volume() * np.array(STRESS[:3]))
    assert (atoms.info["system"], atoms.info["trajectory"]) == ("data", "spec.data[0]")
    assert "label" not in atoms.info


@pytest.mark.parametrize("zeros", [{"stress": np.zeros(6)}, {"virial": np.zeros((3, 3))}, {"virials": np.zeros(9)}])
def test_zeros_beside_forces_are_no_virial(tmp_path, zeros):
    moved = frame(info={key: value for key, value in zeros.items() if key != "stress"})
    moved.calc.results |= {"forces": np.ones((4, 3)), **({"stress": zeros["stress"]} if "stress" in zeros else {})}
    (atoms,) = given(tmp_path, moved)
    assert virial_of(atoms) is None
    assert "virial" not in atoms.info


VIRIALS = np.array([[-0.5, 0.01, 0.02], [0.01, -0.9, 0.03], [0.02, 0.03, -1.4]])


def test_virials_are_taken_by_the_name_of_gap_and_mace(tmp_path):
    (atoms,) = given(tmp_path, frame(info={"virials": VIRIALS.ravel()}))
    np.testing.assert_allclose(virial_of(atoms), VIRIALS)


def test_virials_beside_the_same_stress_are_unambiguous(tmp_path):
    atoms = frame(stress=STRESS)
    atoms.info["virials"] = virial_of(atoms).ravel()
    assert virial_of(given(tmp_path, atoms)[0]) is not None


@pytest.mark.parametrize(("stress", "virials"), [(STRESS, VIRIALS.ravel()), (None, VIRIALS.ravel()[:6]), (None, "no")])
def test_virials_that_can_be_read_in_two_ways_are_refused_by_frame(tmp_path, stress, virials):
    results = {} if stress is None else {"stress": stress}
    assert "spec.data[0], frame 1 (Cu4): `virials`" in refused(
        tmp_path, frame(), frame(info={"virials": virials}, **results)
    )


def gpumd(forces: str = "") -> str:
    return f"""2
energy=-1.5 pbc="T T T" Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:force:R:3{forces and ":forces:R:3"}
Cu 0 0 0 0.1 0.2 0.3 {forces}
Cu 2 2 2 -0.1 -0.2 -0.3 {forces}
"""


def test_forces_are_taken_by_the_name_of_gpumd(tmp_path):
    (tmp_path / "train.xyz").write_text(gpumd())
    (atoms,) = given_by(tmp_path, tmp_path / "train.xyz")
    np.testing.assert_allclose(atoms.get_forces(), [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    assert "force" not in atoms.arrays


def test_forces_of_two_names_that_differ_are_refused(tmp_path):
    (tmp_path / "train.xyz").write_text(gpumd("0.5 0.5 0.5"))
    assert "spec.data[0], frame 0 (Cu2): its `force` and its `forces` differ" in refused_of(
        tmp_path, tmp_path / "train.xyz"
    )


def test_a_force_of_one_number_is_none(tmp_path):
    atoms = frame(dimer())
    atoms.arrays["force"] = np.ones(2)
    del atoms.calc.results["forces"]
    assert "`force` must be three components" in refused(tmp_path, atoms)


def test_values_that_are_not_finite_are_refused_by_frame(tmp_path):
    assert "frame 0 (Cu4): energy and forces" in refused(tmp_path, frame(info={"virial": np.nan * np.eye(3)}))


def test_a_free_energy_that_is_not_finite_is_refused_too(tmp_path):
    assert "frame 0 (Cu4): energy and forces" in refused(tmp_path, frame(free_energy=np.nan))


def text(lattice: str = "4 0 0 0 4 0 0 0 4", place: str = "0", symbol: str = "Cu") -> str:
    return f"""1
energy=-1.5 pbc="T T T" Lattice="{lattice}" Properties=species:S:1:pos:R:3:forces:R:3
{symbol} {place} 0 0 0.0 0.0 0.0
"""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"place": "nan"}, "(Cu) cannot be used: its positions or its cell are not finite"),
        ({"place": "inf"}, "(Cu) cannot be used: its positions or its cell are not finite"),
        ({"lattice": "nan 0 0 0 4 0 0 0 4"}, "(Cu) cannot be used: its positions or its cell are not finite"),
        ({"lattice": "4 0 0 8 0 0 0 0 4"}, "(Cu) cannot be used: where it is periodic (pbc [True, True, True]), its"),
        ({"symbol": "X"}, "(X) cannot be used: some of its atoms are of no element"),
    ],
)
def test_what_nothing_can_be_computed_of_is_refused_by_frame(tmp_path, changed, words):
    (tmp_path / "data.extxyz").write_text(text() + text(**changed))
    assert refused_of(tmp_path, tmp_path / "data.extxyz").startswith(f"spec.data[0], frame 1 {words}")


def test_a_frame_without_atoms_is_refused(tmp_path):
    (tmp_path / "data.extxyz").write_text("0\nenergy=-1.0 Properties=species:S:1:pos:R:3:forces:R:3\n")
    assert "spec.data[0], frame 0 () cannot be used: it has no atoms" in refused_of(tmp_path, tmp_path / "data.extxyz")


@pytest.mark.parametrize(
    ("moment", "charges", "words"),
    [
        (2.2, [0.0, 0.0], "has initial_magmoms. What is labelled is learned as it is"),
        (0.0, [0.5, 0.0], "cannot be used: its charge is +1.0 e"),
    ],
)
def test_labels_of_a_state_that_ours_are_not_of_are_refused_by_frame(tmp_path, moment, charges, words):
    atoms = bulk("Cu", cubic=True)
    atoms.set_initial_magnetic_moments([moment] * 4)
    atoms.set_initial_charges(charges * 2)
    said = refused(tmp_path, frame(), frame(atoms))
    assert said.startswith(f"spec.data[0], frame 1 (Cu4) {words}")


@pytest.mark.parametrize(
    ("told", "fine"), [({"charge": 1}, False), ({"total_charge": -1.0}, False), ({"charge": 0}, True)]
)
def test_a_charge_that_the_header_tells_is_refused_too(tmp_path, told, fine):
    atoms = frame(info=told)
    if fine:
        assert len(given(tmp_path, atoms)) == 1
    else:
        assert f"its charge is {next(iter(told.values())):+.1f} e" in refused(tmp_path, atoms)


def test_charges_of_a_force_field_are_no_net_charge(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.set_initial_charges([1.0, -1.0, 0.0, 0.0])
    assert len(given(tmp_path, frame(atoms))) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("energy.npy", b"\x93NUMPY\x01\x00v\x00{'descr'", "a NumPy array (of deepmd/npy data give the folder"),
        ("data.hdf5", b"\x89HDF\r\n\x1a\n", "HDF5"),
        ("train.db", b"SQLite format 3\x00", "a database of ASE"),
        ("train.extxyz.gz", b"\x1f\x8b\x08\x00", "compressed by gzip"),
        ("train.xyz", b"1\n\xff\xfe binary\nCu 0 0 0\n", "a binary file"),
    ],
)
def test_binary_files_are_named_with_what_to_do(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    said = refused_of(tmp_path, tmp_path / name)
    assert said.startswith(f"spec.data[0]: {name} is {words}") and "convert it to extended XYZ" in said


def test_a_folder_is_told_from_a_missing_file(tmp_path):
    (tmp_path / "set.of.mine" / "set").mkdir(parents=True)
    words = "If it is a folder of deepmd/npy data, end its address in /"
    assert words in refused_of(tmp_path, tmp_path / "set.of.mine" / "set")
    assert words not in refused_of(tmp_path, tmp_path / "none.extxyz")


def shaken(seed: int) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array * (1 + 0.01 * np.random.default_rng(seed).normal()), scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


class Teacher:
    """EMT as a model."""

    atoms_together = 0

    def __init__(self) -> None:
        self.asked = 0

    def predict(self, frames):
        self.asked += len(frames)
        return CalculatorModel(EMT).predict(frames)


def set_of(number: int, count: int, scale: float = 1.0, offset: float = 0.0) -> list[Atoms]:
    found = []
    for seed in range(count):
        atoms = shaken(seed + 100 * number)
        (right,) = CalculatorModel(EMT).predict([atoms])
        atoms.info = {"stratum": "data", "trajectory": f"spec.data[{number}]", "system": "data"}
        found.append(labelled(atoms, right.energy + 4 * offset, scale * right.forces, right.virial))
    return found


def test_right_data_pass_and_few_of_many_frames_are_tried():
    model = Teacher()
    check_data(model, set_of(0, 60) + set_of(1, 5), seed=1)
    assert model.asked == FRAMES_TRIED + 5
    check_data(model, [], seed=1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"scale": 1 / 51.42}, r"spec.data\[1\]: its forces are 51 times smaller"),
        ({"offset": 9.0}, r"9.0 eV per atom above"),
    ],
)
def test_a_file_of_other_units_or_another_zero_is_refused_before_anything_is_paid_for(wrong, words):
    with pytest.raises(StageError, match=words) as caught:
        check_data(Teacher(), set_of(0, 12) + set_of(1, 8, **wrong), seed=1)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)


@pytest.mark.parametrize("number", ["energy", "virial"])
def test_a_frame_that_the_model_gives_no_numbers_for_is_named_by_its_file(number):
    class Fails(Teacher):
        def predict(self, frames):
            (found,) = super().predict(frames)
            hard = frames[0].info["trajectory"] == "spec.data[1]"
            return [replace(found, **{number: np.nan * getattr(found, number)}) if hard else found]

    with pytest.raises(StageError, match=r"spec.data\[1\]: the model cannot predict its frame of Cu4") as caught:
        check_data(Fails(), set_of(0, 12) + set_of(1, 8), seed=1)
    assert caught.value.reason is Reason.DATA_INVALID and "values that are not numbers" in caught.value.message


def test_frames_that_a_job_has_trained_on_are_data_of_another_as_they_are(tmp_path):
    """The dataset of a train stage holds labels with all that is noted of them, and data that were given."""
    crystal, molecule = bulk("Cu", cubic=True), dimer()
    origin = {
        "system": "copper",
        "stratum": "copper/300K",
        "purpose": "training",
        "sampling": "aimd",
        "label_key": "ab",
    }
    for atoms in (crystal, molecule):
        atoms.info = origin | {"trajectory": "t", "novelty": 0.5}
        atoms.rattle(0.05, seed=1)
    trained = [labelled(crystal, -3.0, np.ones((4, 3)), np.eye(3)), labelled(molecule, -1.0, np.ones((2, 3)))]
    write_frames(tmp_path / "dataset.extxyz", trained)
    for before, after in zip(trained, given_by(tmp_path, tmp_path / "dataset.extxyz"), strict=True):
        assert (energy_of(after), after.info["stratum"]) == (energy_of(before), "data")
        assert after.get_forces() == pytest.approx(before.get_forces())
        assert ("virial" in after.info) is ("virial" in before.info)
        assert np.all(after.info.get("virial", 0) == pytest.approx(before.info.get("virial", 0)))
        assert (after.info["sampling"], after.info["trajectory"]) == ("aimd", "spec.data[0]")


def test_frames_of_one_trajectory_of_a_former_job_are_trained_on_or_set_aside_together(tmp_path):
    """Also when they have gone through two jobs, whose files name it."""
    frames = []
    for number in range(40):
        atoms = dimer()
        atoms.info = {"trajectory": f"aimd-{number // 10}", "step": number % 10, "sampling": "aimd"}
        frames.append(labelled(atoms, -1.0, np.full((2, 3), float(number))))
    for name in ("first.extxyz", "second.extxyz"):
        write_frames(tmp_path / name, frames)
        frames = given_by(tmp_path, tmp_path / name)
    training, validation = split_validation(frames, 0.25)
    assert validation
    names = [{atoms.info[OF_TRAJECTORY] for atoms in part} for part in (training, validation)]
    assert not names[0] & names[1]


def test_frames_that_were_given_to_a_former_job_are_of_no_trajectory(tmp_path):
    frames = [labelled(dimer(), -1.0, np.full((2, 3), float(number))) for number in range(40)]
    for name in ("first.extxyz", "second.extxyz"):
        write_frames(tmp_path / name, frames)
        frames = given_by(tmp_path, tmp_path / name)
        # one sequence of its file, of which a stretch of five is set aside
        assert [len(part) for part in split_validation(frames, 0.1)] == [33, 5]


@pytest.mark.parametrize(
    "info", [{"sampling": [1.0, 2.0]}, {"sampling": "mine"}, {"trajectory": 7, "step": "x"}, {"trajectory": "all"}]
)
def test_what_a_file_of_others_calls_so_is_not_taken(tmp_path, info):
    assert given(tmp_path, frame(dimer(), info))[0].info.keys().isdisjoint({"sampling", OF_TRAJECTORY, "step"})


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (InputLimits(10**6, atoms=3), "spec.data[0]: data.extxyz has 4 atoms in frame 0, and a frame has at most 3"),
        (InputLimits(10**6, frames=1), "spec.data[0]: data.extxyz has more than 1 frames"),
    ],
)
def test_more_than_is_read_is_refused_before_it_is_read(tmp_path, monkeypatch, limits, words):
    monkeypatch.setattr("pfd_worker.preparation.data.LABELLED", limits)
    monkeypatch.setattr("pfd_worker.preparation.data.read_frames", None)
    assert words in refused(tmp_path, frame(), frame())


def test_a_file_that_is_too_large_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.preparation.data.LABELLED", InputLimits(file_bytes=2**20))
    path = tmp_path / "data.extxyz"
    path.write_bytes(b" " * 3 * 2**20)
    assert f"spec.data[0].uri: file://{path} has 3 MiB, and at most 1 MiB of a file" in refused_of(tmp_path, path)
    assert not list((tmp_path / "inputs").rglob("*.extxyz"))
