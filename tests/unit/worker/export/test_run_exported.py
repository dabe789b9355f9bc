"""The exported scripts with a real, tiny model: what they print is what our own code predicts."""

import re
import subprocess
import sys

import pytest
from ase.io import read

from pfd_worker.acceptance.speed import measure_speed, speed_ups
from pfd_worker.export.folder import export_model
from tests.unit.worker.export.cards import full_card
from tests.unit.worker.export.tiny_student import make_alloy, make_student

pytestmark = pytest.mark.image


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_student(tmp_path_factory.mktemp("student"))


@pytest.fixture
def alloy():
    return make_alloy()


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
