"""Frozen and compressed students against the checkpoint they come from."""

import numpy as np
import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.models.checkpoint import extract_branch
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.models.frozen import FrozenModel, compress, freeze
from tests.unit.worker.students import DPA1, SE_A, TYPE_MAP, alloy_frames, student_run
from tests.unit.worker.tiny_pretrained import emt_frames

pytestmark = pytest.mark.image


@pytest.fixture(scope="module", params=[SE_A, DPA1], ids=["se_e2_a", "dpa1"])
def student(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("student")
    student_run(folder, request.param).run(alloy_frames(6, seed=1), folder / "model.pt")
    freeze(folder / "model.pt", folder / "frozen.pth")
    compress(folder / "frozen.pth", folder / "compressed.pth")
    return folder


def arrays(model, frames):
    predicted = model.predict(frames)
    return [np.array([getattr(p, name) for p in predicted]) for name in ("energy", "forces", "virial")]


def test_a_frozen_model_is_the_checkpoint_to_rounding(student):
    frames = alloy_frames(3, seed=20)
    before, after = DeepmdModel(student / "model.pt"), FrozenModel(student / "frozen.pth")
    assert after.type_map == before.type_map == TYPE_MAP
    for one, other in zip(arrays(before, frames), arrays(after, frames), strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-10)


def test_a_compressed_model_is_the_frozen_one_within_the_tables_error(student):
    frames = alloy_frames(3, seed=21)
    frozen, compressed = FrozenModel(student / "frozen.pth"), FrozenModel(student / "compressed.pth")
    for one, other in zip(arrays(frozen, frames), arrays(compressed, frames), strict=True):
        assert np.linalg.norm(other - one) < 1e-3 * np.linalg.norm(one)
        assert np.abs(other - one).max() > 0, "the same numbers to the last bit: nothing was tabulated"


@pytest.mark.parametrize("name", ["frozen.pth", "compressed.pth"])
def test_calculator_and_features_work_as_with_a_checkpoint(student, name):
    model, atoms = FrozenModel(student / name), emt_frames("Cu", 1, 0.1, seed=22)[0]
    predicted = model.predict([atoms])[0]
    atoms.calc = model.calculator()
    assert atoms.get_potential_energy() == pytest.approx(predicted.energy, abs=1e-9)
    np.testing.assert_allclose(-atoms.get_volume() * atoms.get_stress(voigt=False), predicted.virial, atol=1e-9)
    step = 1e-4
    moved = [atoms.copy(), atoms.copy()]
    moved[0].positions[1, 2] += step
    moved[1].positions[1, 2] -= step
    plus, minus = (p.energy for p in model.predict(moved))
    assert -(plus - minus) / (2 * step) == pytest.approx(predicted.forces[1, 2], abs=1e-5)
    features = model.features([atoms], TYPE_MAP)
    np.testing.assert_allclose(features, DeepmdModel(student / "model.pt").features([atoms], TYPE_MAP), atol=1e-3)


def test_a_model_that_deepmd_kit_does_not_compress_is_refused_with_its_words(pretrained, tmp_path):
    """Without stored distances nothing can be tabulated; this is how a fine-tuned model looks."""
    extract_branch(pretrained, "Hot", tmp_path / "model.pt")
    freeze(tmp_path / "model.pt", tmp_path / "frozen.pth")
    with pytest.raises(StageError) as caught:
        compress(tmp_path / "frozen.pth", tmp_path / "compressed.pth")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STUDENT_NOT_COMPRESSIBLE)
    assert "Error" in str(caught.value) and "spec.student.compress" in str(caught.value)


def test_a_file_that_is_no_checkpoint_cannot_be_frozen(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"nothing")
    with pytest.raises(StageError, match=r"dp freeze. of model\.pt"):
        freeze(tmp_path / "model.pt", tmp_path / "frozen.pth")
    with pytest.raises(ValueError, match="must end in"):
        freeze(tmp_path / "model.pt", tmp_path / "frozen.pt")
