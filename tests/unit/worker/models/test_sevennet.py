"""SevenNet's own universal potential, and a tiny one, as models of ours."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError
from pfd_worker.models import sevennet
from pfd_worker.models.sevennet import SevennetModel
from pfd_worker.models.sevennet_checkpoint import extract_model, load_checkpoint, shift_energy
from tests.unit.worker.tiny_pretrained import emt_frames

pytestmark = pytest.mark.image


def silicon(seed: int, size: int = 1) -> Atoms:
    atoms = bulk("Si", cubic=True).repeat(size)
    atoms.rattle(0.1, seed=seed)
    return atoms


@pytest.fixture(scope="module")
def universal(tmp_path_factory):
    from sevenn.util import pretrained_name_to_path

    path = tmp_path_factory.mktemp("universal") / "model.pth"
    info = extract_model(path.parent / pretrained_name_to_path("7net-0"), None, path)
    return path, info


def test_the_universal_potential_predicts_as_sevenns_own_calculator(universal, monkeypatch):
    from sevenn.calculator import SevenNetCalculator

    monkeypatch.setattr(sevennet, "ATOMS_PER_BATCH", 17)
    frames = [silicon(1), silicon(2), bulk("NaCl", "rocksalt", 5.6), Atoms("CO", [[0, 0, 0], [0, 0, 1.2]])]
    frames.append(silicon(3))
    frames[-1].pbc = [True, True, False]
    for atoms, predicted in zip(frames, SevennetModel(universal[0]).predict(frames), strict=True):
        atoms.calc = SevenNetCalculator("7net-0", device="cpu")
        assert predicted.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(predicted.forces, atoms.get_forces(), atol=1e-4)
        if atoms.pbc.all():
            virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
            np.testing.assert_allclose(predicted.virial, virial, atol=1e-3)
        else:
            assert not predicted.virial.any()


def test_its_elements_are_known_in_its_own_order(universal):
    elements = universal[1].type_map
    assert len(elements) == 89 and elements[:3] == ["Ac", "Ag", "Al"]


def test_features_see_which_element_sits_where(universal):
    model = SevennetModel(universal[0])
    alloy = bulk("Cu", cubic=True)
    alloy.symbols[0] = "Al"
    swapped = alloy.copy()
    swapped.symbols = ["Cu", "Cu", "Cu", "Al"]
    swapped.positions[0] += 0.2
    features = model.features([alloy, swapped, silicon(1)], ["Al", "Cu", "Si"])
    assert features.shape == (3, 2 * 3 * 128) and features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features[0] - features[1]).max() > 1e-3
    assert not features[2, : 4 * 128].any(), "no Al and no Cu in silicon"


def test_a_calculator_of_the_loaded_model_runs_beside_its_batches(tiny_sevennet, tmp_path):
    extract_model(tiny_sevennet, None, tmp_path / "model.pth")
    model = SevennetModel(tmp_path / "model.pth")
    atoms = emt_frames("Cu", 1, 0.1, seed=5)[0]
    predicted = model.predict([atoms])[0]
    atoms.calc = model.calculator()
    assert atoms.get_potential_energy() == pytest.approx(predicted.energy, abs=1e-5)
    assert model.predict([atoms])[0].energy == pytest.approx(predicted.energy, abs=1e-5)


def test_a_shift_counts_atoms_of_its_element_and_leaves_forces(tiny_sevennet, tmp_path):
    extract_model(tiny_sevennet, None, tmp_path / "model.pth")
    shift_energy(tmp_path / "model.pth", {"Cu": 0.5}, tmp_path / "shifted.pth")
    frames = emt_frames("Cu", 1, 0.1, seed=5) + emt_frames("Al", 1, 0.1, seed=5)
    before, after = (SevennetModel(tmp_path / name).predict(frames) for name in ("model.pth", "shifted.pth"))
    assert after[0].energy - before[0].energy == pytest.approx(4 * 0.5, abs=1e-4)
    assert after[1].energy == pytest.approx(before[1].energy, abs=1e-5)
    np.testing.assert_allclose(after[0].forces, before[0].forces, atol=1e-6)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_that_would_run_code_is_refused_without_running_it(tmp_path):
    import torch

    torch.save({"config": Malicious(tmp_path / "owned"), "model_state_dict": {}}, tmp_path / "bad.pth")
    with pytest.raises(StageError) as caught:
        load_checkpoint(tmp_path / "bad.pth")
    assert caught.value.reason is Reason.NOT_A_CHECKPOINT
    assert not (tmp_path / "owned").exists()


def test_what_is_no_sevennet_checkpoint_is_refused_by_name(pretrained, tmp_path):
    (tmp_path / "noise.pth").write_bytes(b"noise")
    for path in (tmp_path / "noise.pth", pretrained):
        with pytest.raises(StageError, match="not a SevenNet checkpoint") as caught:
            extract_model(path, None, tmp_path / "model.pth")
        assert caught.value.reason is Reason.NOT_A_CHECKPOINT


def test_branches_and_modalities_are_refused(tiny_sevennet, tmp_path):
    from sevenn.util import pretrained_name_to_path

    with pytest.raises(StageError) as caught:
        extract_model(tiny_sevennet, "Hot", tmp_path / "model.pth")
    assert caught.value.reason is Reason.UNKNOWN_BRANCH
    with pytest.raises(StageError, match="modalities"):
        extract_model(tmp_path / pretrained_name_to_path("7net-mf-0"), None, tmp_path / "model.pth")
