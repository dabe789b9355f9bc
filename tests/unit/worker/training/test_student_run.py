"""Real trainings of tiny students: from scratch, going on, and stopped half-way."""

import json
import re
import shutil
import threading

import numpy as np
import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import labelled
from pfd_worker.models.checkpoint import inspect_checkpoint, load_checkpoint
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.models.frozen import freeze
from tests.unit.worker.students import SE_A, TYPE_MAP, alloy_frames, student_run

pytestmark = pytest.mark.image


def force_rmse(path, frames):
    predicted = DeepmdModel(path).predict(frames)
    return np.sqrt(np.mean([(p.forces - a.get_forces()) ** 2 for p, a in zip(predicted, frames, strict=True)]))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    outcome = student_run(folder, SE_A, steps=300, learning_rate_start=1e-2, learning_rate_stop=1e-4).run(
        alloy_frames(12, seed=1), folder / "model.pt"
    )
    return folder, outcome


def test_a_student_from_scratch_learns_and_keeps_the_best_by_validation(first):
    folder, outcome = first
    frames = alloy_frames(4, seed=50)
    zero = np.sqrt(np.mean([a.get_forces() ** 2 for a in frames]))
    assert force_rmse(folder / "model.pt", frames) < 0.5 * zero
    assert (outcome.training_frames, outcome.validation_frames) == (22, 2)
    assert outcome.resumed_from_step == 0
    best = min(outcome.validation, key=lambda point: point["forceRmse"] + point["energyRmsePerAtom"])
    assert outcome.step == best["step"]


def test_the_energy_of_each_element_starts_at_the_mean_of_all_frames(tmp_path):
    offsets = {"Al": -100.0, "Cu": -300.0}
    frames = [
        labelled(a, 4 * offsets[a.symbols[0]] + a.get_potential_energy(), a.get_forces(), a.info["virial"])
        for a in alloy_frames(20, seed=1)
    ]
    student_run(tmp_path, SE_A, steps=1, validation_fraction=0).run(frames, tmp_path / "model.pt")
    bias = load_checkpoint(tmp_path / "model.pt")["model.Default.atomic_model.out_bias"][0, :, 0]
    for number, element in enumerate(TYPE_MAP):
        energies = [a.get_potential_energy() / 4 for a in frames if a.symbols[0] == element]
        assert float(bias[number]) == pytest.approx(np.mean(energies), abs=1e-6)


def test_the_energy_of_each_element_is_that_of_all_frames_where_few_give_the_statistics(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.training.statistics.STATISTICS_BYTES", 1)
    frames = alloy_frames(20, seed=1)
    student_run(tmp_path, SE_A, steps=1, validation_fraction=0).run(frames, tmp_path / "model.pt")
    state = load_checkpoint(tmp_path / "model.pt")
    bias = state["model.Default.atomic_model.out_bias"][0, :, 0]
    for number, element in enumerate(TYPE_MAP):
        energies = [a.get_potential_energy() / 4 for a in frames if a.symbols[0] == element]
        assert float(bias[number]) == pytest.approx(np.mean(energies), abs=1e-6)
    assert "preset_out_bias" not in inspect_checkpoint(tmp_path / "model.pt").model_section
    freeze(tmp_path / "model.pt", tmp_path / "frozen.pth")


def test_elements_that_occur_are_those_of_all_frames_where_few_give_the_statistics(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.training.statistics.STATISTICS_BYTES", 1)
    frames = [atoms for atoms in alloy_frames(20, seed=1) if atoms.symbols[0] == "Al"]
    one = frames[7].copy()
    one.symbols[0] = "Cu"
    frames.append(labelled(one, 0.0, np.zeros((len(one), 3)), np.zeros((3, 3))))
    section = SE_A | {"type_map": [*TYPE_MAP, "Ni"]}
    student_run(tmp_path, section, steps=1, validation_fraction=0).run(frames, tmp_path / "model.pt")
    assert sorted(inspect_checkpoint(tmp_path / "model.pt").observed_elements) == TYPE_MAP


def test_what_compression_needs_is_stored_and_neighbours_have_room(first):
    folder, _ = first
    state = load_checkpoint(folder / "model.pt")
    smallest = min(a.get_all_distances(mic=True)[np.triu_indices(len(a), 1)].min() for a in alloy_frames(12, seed=1))
    stored = float(state["model.Default.min_nbor_dist"])
    assert smallest <= stored + 1e-9 and stored < smallest + 0.3
    sel = inspect_checkpoint(folder / "model.pt").model_section["descriptor"]["sel"]
    assert len(sel) == 2 and all(12 < number < 60 for number in sel)


def test_a_later_round_goes_on_where_the_student_was(first, tmp_path):
    folder, _ = first
    section = inspect_checkpoint(folder / "model.pt").model_section
    run = student_run(
        tmp_path, section, start=folder / "model.pt", steps=1, learning_rate_start=1e-12, learning_rate_stop=1e-13
    )
    run.run(alloy_frames(12, seed=3), tmp_path / "model.pt")
    frames = alloy_frames(2, seed=50)
    for old, new in zip(
        DeepmdModel(folder / "model.pt").predict(frames),
        DeepmdModel(tmp_path / "model.pt").predict(frames),
        strict=True,
    ):
        assert new.energy == pytest.approx(old.energy, abs=1e-6)
        np.testing.assert_allclose(new.forces, old.forces, atol=1e-6)


def training_seed(folder):
    return json.loads((folder / "training" / "input.json").read_text())["training"]["seed"]


def test_a_stopped_student_goes_on_from_its_checkpoint(tmp_path):
    stopping = threading.Event()
    frames = alloy_frames(6, seed=1)

    def stop_midway(percent, message):
        if percent > 20:
            stopping.set()

    stopped = student_run(tmp_path, SE_A, steps=2000, checkpoint_seconds=5, progress=stop_midway, stopping=stopping)
    with pytest.raises(StageError) as caught:
        stopped.run(frames, tmp_path / "model.pt")
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    first_seed = training_seed(tmp_path)
    shutil.rmtree(tmp_path / "training")
    (stopped_at,) = map(int, re.findall(r"step (\d+)", caught.value.message))
    # it need not go on for all of its steps to show that it does
    outcome = student_run(tmp_path, SE_A, steps=stopped_at + 100).run(frames, tmp_path / "model.pt")
    assert 0 < outcome.resumed_from_step == stopped_at < 2000
    # which of them is the best is left to a single validation frame
    assert outcome.validation[-1]["step"] > stopped_at
    assert training_seed(tmp_path) != first_seed, "in the same order only the first frames would be seen again"
    assert load_checkpoint(tmp_path / "model.pt")["model.Default.min_nbor_dist"] > 0
