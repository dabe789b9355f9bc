"""The exported scripts with a real, tiny model: what they print is what our own code predicts."""

import copy
import re
import subprocess
import sys

import pytest
from ase.build import bulk
from ase.io import read
from tests.unit.worker.export.cards import full_card

from pfd_worker.acceptance.speed import measure_speed, speed_ups
from pfd_worker.export.folder import ModelFiles, export_model

pytestmark = pytest.mark.image

SECTION = {
    "type_map": ["Ni", "Cu"],
    "descriptor": {
        "type": "se_e2_a", "sel": [50, 50], "rcut": 4.5, "rcut_smth": 0.5, "neuron": [4, 8], "axis_neuron": 4,
        "type_one_side": True, "seed": 1,
    },
    "fitting_net": {"neuron": [8, 8], "seed": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained student: its numbers mean nothing, but they are the same wherever it runs."""
    import torch
    from deepmd.pt.entrypoints.compress import enable_compression
    from deepmd.pt.entrypoints.main import freeze
    from deepmd.pt.model.model import get_model
    from deepmd.pt.train.wrapper import ModelWrapper

    torch._C._jit_set_texpr_fuser_enabled(False)
    folder = tmp_path_factory.mktemp("student")
    student = get_model(copy.deepcopy(SECTION))
    student.min_nbor_dist = torch.tensor(1.5, dtype=torch.float64)
    files = ModelFiles(folder / "student.pt", folder / "frozen.pth", folder / "compressed.pth")
    torch.save({"model": ModelWrapper(student, model_params=SECTION).state_dict()}, files.checkpoint)
    freeze(model=str(files.checkpoint), output=str(files.frozen))
    enable_compression(str(files.frozen), str(files.compressed))
    return files


@pytest.fixture
def alloy():
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.symbols[::3] = "Ni"
    atoms.rattle(0.05, seed=1)
    return atoms


def test_the_ase_script_runs_and_tells_the_energy_of_the_checkpoint(model, alloy, tmp_path):
    from pfd_worker.models.deepmd import DeepmdModel

    written = export_model(tmp_path, model, alloy, full_card())
    # from another folder: files are looked for beside the script
    done = subprocess.run(
        [sys.executable, str(written["run_ase.py"]), "--steps", "20"],
        cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    energy, *_ = re.findall(r"^energy +(\S+) eV for 32 atoms$", done.stdout, re.MULTILINE)
    (expected,) = DeepmdModel(model.checkpoint).predict([read(written["structure.extxyz"])])
    # the tables of the compressed model are not the nets themselves
    assert float(energy) == pytest.approx(expected.energy, abs=1e-5 * 32)
    assert len(re.findall(r"^step +\d+ .* K .* eV/atom$", done.stdout, re.MULTILINE)) == 3


def test_checkpoint_and_compressed_model_are_timed_beside_each_other(model, alloy):
    from deepmd.calculator import DP

    from pfd_worker.models.deepmd import DeepmdModel

    models = {"student": DP(model=model.compressed), "teacher": DeepmdModel(model.checkpoint).calculator()}
    records = measure_speed(models, alloy, sizes=(108,), steps=5, warmup=2)
    assert all(r.steps == 5 and r.fits and r.median_ms_per_step for r in records)
    assert set(speed_ups(records, "student", over="teacher")) == {108}
