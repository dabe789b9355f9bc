import numpy as np
import pytest
from ase.build import bulk, molecule

pytestmark = pytest.mark.image
pytest.importorskip("torch")

from pfd_worker.models.checkpoint import extract_branch  # noqa: E402
from pfd_worker.models.deepmd import DeepmdModel  # noqa: E402
from pfd_worker.models.verlet_list import SKIN_ANGSTROM  # noqa: E402
from tests.unit.worker.students import DPA1, SE_A, alloy_frames, student_run  # noqa: E402


@pytest.fixture(scope="module", params=["se_e2_a", "dpa1"])
def model_file(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    section = SE_A if request.param == "se_e2_a" else DPA1
    student_run(folder, section).run(alloy_frames(4, 1), folder / "model.pt")
    return folder / "model.pt"


def test_a_model_with_a_shorter_list_of_its_own_finds_the_nearest_first(pretrained, tmp_path):
    extract_branch(pretrained, "Hot", tmp_path / "hot.pt", "here")
    plain, remembering = DeepmdModel(tmp_path / "hot.pt"), DeepmdModel(tmp_path / "hot.pt")
    for atoms in (bulk("Cu", cubic=True), bulk("Cu", cubic=True).repeat((2, 2, 1))):
        atoms.rattle(0.1, seed=7)
        assert_same(remembering.predict_moving([atoms])[0], plain.predict([atoms])[0])


def alloy(seed=0):
    atoms = bulk("Al", cubic=True, a=3.9).repeat((2, 2, 2))
    atoms.symbols[::3] = "Cu"
    atoms.rattle(0.05, seed=seed)
    return atoms


def assert_same(found, expected):
    assert found.energy == pytest.approx(expected.energy, abs=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-10)
    np.testing.assert_allclose(found.virial, expected.virial, atol=1e-9)


def test_a_walk_with_a_changing_cell_gives_the_same_as_a_search_at_every_step(model_file):
    plain, remembering = DeepmdModel(model_file), DeepmdModel(model_file)
    rng = np.random.default_rng(3)
    atoms = alloy()
    for _ in range(40):
        atoms.positions += rng.normal(0, 0.02, atoms.positions.shape)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 2e-3, (3, 3))), scale_atoms=True)
        assert_same(remembering.predict_moving([atoms])[0], plain.predict([atoms])[0])
    assert 2 <= remembering._neighbours.searches <= 20


def test_a_sudden_change_is_seen(model_file):
    plain, remembering = DeepmdModel(model_file), DeepmdModel(model_file)
    first = alloy()
    moved = first.copy()
    moved.positions[0] += [0.6 * SKIN_ANGSTROM, 0, 0]
    swapped = first.copy()
    swapped.symbols[[0, 1]] = swapped.symbols[[1, 0]]
    stretched = first.copy()
    stretched.set_cell(1.2 * first.cell.array)
    smaller = first[:-1]
    for atoms in (first, moved, first, swapped, stretched, smaller, molecule("CO"), first):
        if "C" in atoms.symbols:
            atoms.symbols = ["Al", "Cu"]
        assert_same(remembering.predict_moving([atoms])[0], plain.predict([atoms])[0])


def test_frames_that_move_together_are_remembered_together(model_file):
    plain, remembering = DeepmdModel(model_file), DeepmdModel(model_file)
    rng = np.random.default_rng(4)
    frames = [alloy(seed) for seed in range(3)]
    frames[1].set_cell(0.97 * frames[1].cell.array, scale_atoms=True)  # more ghosts than the others
    frames[2].symbols[:] = "Cu"
    others = [bulk("Cu"), bulk("Al")]
    for _ in range(20):
        for atoms in frames + others:
            atoms.positions += rng.normal(0, 0.06, atoms.positions.shape)
        found = remembering.predict_moving(frames + others)
        for one, expected in zip(found, plain.predict(frames + others), strict=True):
            assert_same(one, expected)
    assert 4 <= remembering._neighbours.searches <= 20


def test_frames_computed_in_parts_after_an_out_of_memory_are_remembered_in_parts(model_file):
    model = DeepmdModel(model_file)
    frames = [alloy(seed) for seed in range(4)]
    limits = model._potential.deep_eval.auto_batch_size
    limits.current_batch_size = limits.maximum_working_batch_size = 2 * len(frames[0])
    limits.minimal_not_working_batch_size = 4 * len(frames[0])
    for _ in range(5):
        model.predict_moving(frames)
    assert model._neighbours.searches == 2


def test_a_cell_smaller_than_the_cutoff_has_images_of_images(model_file):
    plain, remembering = DeepmdModel(model_file), DeepmdModel(model_file)
    atoms = bulk("Cu")
    for shift in (0.0, 0.1):
        atoms.positions += shift
        assert_same(remembering.predict_moving([atoms])[0], plain.predict([atoms])[0])
