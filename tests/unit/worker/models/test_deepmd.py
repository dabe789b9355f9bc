"""A loaded model against its own finite differences, and a cut-out branch against the whole checkpoint."""

import numpy as np
import pytest
from ase.build import fcc111

from pfd_worker.models.checkpoint import extract_branch, shift_energy_bias, strip_checkpoint
from pfd_worker.models.deepmd import DeepmdModel
from tests.unit.worker.tiny_pretrained import BRANCHES, emt_frames

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def hot(pretrained, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "hot.pt"
    extract_branch(pretrained, "Hot", path)
    return path


@pytest.fixture(scope="module")
def model(hot):
    return DeepmdModel(hot)


def test_a_cut_out_branch_predicts_what_the_branch_does(pretrained, tmp_path):
    from deepmd.infer import DeepPot

    frames = emt_frames("Cu", 3, 0.1, seed=5)
    energies = {}
    for branch in BRANCHES:
        extract_branch(pretrained, branch, tmp_path / "one.pt")
        energies[branch] = [p.energy for p in DeepmdModel(tmp_path / "one.pt").predict(frames)]
        whole = DeepPot(str(pretrained), head=branch, no_jit=True)
        for atoms, energy in zip(frames, energies[branch], strict=True):
            expected = whole.eval(atoms.positions.reshape(1, -1), atoms.cell.array.reshape(1, -1), [2] * 4)[0]
            assert energy == pytest.approx(float(expected[0, 0]), abs=1e-10)
    assert energies["Cold"] != energies["Hot"]


def test_forces_and_virial_are_derivatives_of_the_energy(model):
    atoms = emt_frames("Cu", 1, 0.1, seed=6)[0]
    predicted, step = model.predict([atoms])[0], 1e-4
    moved = [atoms.copy(), atoms.copy()]
    moved[0].positions[1, 2] += step
    moved[1].positions[1, 2] -= step
    plus, minus = (p.energy for p in model.predict(moved))
    assert -(plus - minus) / (2 * step) == pytest.approx(predicted.forces[1, 2], abs=1e-6)
    for sign, strained in zip((1, -1), moved, strict=True):
        strained.positions = atoms.positions
        strain = np.eye(3)
        strain[0, 0] += sign * step
        strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    plus, minus = (p.energy for p in model.predict(moved))
    assert -(plus - minus) / (2 * step) == pytest.approx(predicted.virial[0, 0], abs=1e-5)


def test_mixed_frames_come_back_in_their_order_and_the_calculator_agrees(model):
    frames = [*emt_frames("Cu", 2, 0.1, seed=7), *emt_frames("Al", 1, 0.1, seed=8), *emt_frames("Cu", 1, 0.1, seed=9)]
    together = model.predict(frames)
    for atoms, predicted in zip(frames, together, strict=True):
        single = atoms.copy()
        single.calc = model.calculator()
        assert single.get_potential_energy() == pytest.approx(predicted.energy, abs=1e-9)
        np.testing.assert_allclose(-single.get_volume() * single.get_stress(voigt=False), predicted.virial, atol=1e-9)


def test_what_is_not_periodic_in_all_directions_has_no_virial(model):
    crystal, slab, molecule = emt_frames("Cu", 3, 0.1, seed=14)
    slab.pbc = [True, True, False]
    molecule.pbc = False
    virials = [bool(predicted.virial.any()) for predicted in model.predict([crystal, slab, molecule])]
    assert virials == [True, False, False]
    slab.calc = model.calculator()
    slab.get_potential_energy()
    assert "stress" not in slab.calc.results


def test_a_slab_without_periods_along_its_normal_does_not_see_its_image(model):
    slab = fcc111("Cu", (2, 2, 2), vacuum=0.5)
    slab.rattle(0.1, seed=15)
    far = slab.copy()
    far.cell[2, 2] += 30
    far.pbc = True
    thin = slab.copy()
    thin.pbc = True
    alone, apart, stacked = model.predict([slab, far, thin])
    assert alone.energy == pytest.approx(apart.energy, abs=1e-8)
    np.testing.assert_allclose(alone.forces, apart.forces, atol=1e-8)
    assert abs(stacked.energy - alone.energy) > 1e-3
    np.testing.assert_allclose(*model.features([slab, far], ["Cu"]), atol=1e-6)


def test_features_see_an_exchange_of_two_species_but_not_the_order_of_atoms(model):
    atoms = emt_frames("Cu", 1, 0.1, seed=10, repeat=2)[0]
    atoms.symbols[:4] = "Al"
    exchanged = atoms.copy()
    exchanged.symbols[0], exchanged.symbols[5] = "Cu", "Al"
    order = np.random.default_rng(1).permutation(8)
    features = model.features([atoms, exchanged, atoms[order]], ["Al", "Cu"])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[0], features[2], atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_features_of_many_frames_hold_the_descriptors_of_few_at_a_time(model, monkeypatch):
    cu, al = emt_frames("Cu", 7, 0.1, seed=12), emt_frames("Al", 1, 0.1, seed=13)
    frames = [*cu[:5], *al, *cu[5:]]
    at_once = model.features(frames, ["Al", "Cu"])
    sizes, evaluate = [], model._potential.eval_descriptor

    def counted(coords, **others):
        sizes.append(len(coords))
        return evaluate(coords=coords, **others)

    monkeypatch.setattr(model._potential, "eval_descriptor", counted)
    for most_atoms, expected in ((12, [3, 3, 1, 1]), (1, [1] * 8)):
        monkeypatch.setattr("pfd_worker.models.deepmd.ATOMS_PER_BATCH", most_atoms)
        sizes.clear()
        np.testing.assert_allclose(model.features(frames, ["Al", "Cu"]), at_once, rtol=1e-5, atol=1e-7)
        assert sizes == expected


def test_a_shift_moves_energies_only_and_a_stripped_checkpoint_is_the_same_model(model, hot, tmp_path):
    shift_energy_bias(hot, {"Cu": 1.5}, tmp_path / "shifted.pt")
    strip_checkpoint(tmp_path / "shifted.pt", tmp_path / "stripped.pt")
    frames = emt_frames("Cu", 2, 0.1, seed=11)
    for before, after in zip(model.predict(frames), DeepmdModel(tmp_path / "stripped.pt").predict(frames), strict=True):
        assert after.energy - before.energy == pytest.approx(4 * 1.5, abs=1e-9)
        # not to the last bit: a GPU adds in another order each time
        np.testing.assert_allclose(after.forces, before.forces, rtol=0, atol=1e-12)
