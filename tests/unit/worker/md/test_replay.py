import threading

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from pfd_worker.md.replay import MOST_STEPS, AimdRun, read_aimd, replay, write_aimd
from tests.unit.worker.report.samples import emt_trajectory

COPPER = bulk("Cu", cubic=True).repeat((2, 1, 1))
RIGHT, WRONG = (AimdRun("copper", 2.0, 300.0, emt_trajectory(COPPER, 6, 1, wrong_by)) for wrong_by in (0.0, 0.3))


def replayed(*runs, stopping=False):
    event = threading.Event()
    if stopping:
        event.set()
    return replay(runs, EMT(), event)


def test_the_reference_itself_goes_the_same_way():
    (found,) = replayed(RIGHT)
    np.testing.assert_allclose(found.distance, 0, atol=1e-10)
    np.testing.assert_allclose(found.msd_model, found.msd_reference, atol=1e-12)
    assert found.overlap == {("Cu", "Cu"): pytest.approx(1)} and not found.note
    assert found.time_fs.tolist() == [0, 2, 4, 6, 8, 10]
    assert found.msd_reference[0] == 0 < found.msd_reference[1] < found.msd_reference[-1]


def test_each_element_has_a_displacement_of_its_own():
    alloy = COPPER.copy()
    alloy.symbols[:2] = "Au"
    other = COPPER.copy()
    other.symbols[-3:] = "Au"
    runs = [AimdRun("alloy", 2.0, 300.0, emt_trajectory(atoms, 5, 1, 0.2)) for atoms in (alloy, other)]
    (found,) = replayed(*runs)
    assert list(found.msd_of_elements) == ["Au", "Cu"]
    for side, whole in enumerate((found.msd_reference, found.msd_model)):
        gold, copper = (found.msd_of_elements[element][side] for element in ("Au", "Cu"))
        np.testing.assert_allclose((5 * gold + 11 * copper) / 16, whole, rtol=1e-10)
        assert copper[-1] > 1.2 * gold[-1]
    ways = [run.frames[-1].positions - run.frames[0].positions for run in runs]
    gold = np.concatenate([ways[0][:2], ways[1][-3:]])
    assert found.msd_of_elements["Au"][0][-1] == pytest.approx(np.sum(gold**2, axis=1).mean())


def test_wrong_forces_lead_astray_more_and_more():
    (found,) = replayed(WRONG, RIGHT)
    assert found.trajectories == 2 and found.rdf_reference.frames == 10
    assert (np.diff(found.distance) > 0).all() and found.distance[-1] > 1e-3
    assert found.overlap[("Cu", "Cu")] < 1


def test_displacement_goes_on_across_cell_faces():
    wrapped = []
    for atoms in RIGHT.frames:
        frame = atoms.copy()
        frame.wrap()
        wrapped.append(frame)
    assert any(not np.allclose(a.positions, b.positions) for a, b in zip(wrapped, RIGHT.frames, strict=True))
    (found,) = replayed(AimdRun("copper", 2.0, 300.0, tuple(wrapped)))
    np.testing.assert_allclose(found.distance, 0, atol=1e-10)


def test_where_the_model_explodes_it_is_compared_until_there():
    close = COPPER.copy()
    close.positions[0] += 0.8 * (close.positions[1] - close.positions[0])
    (found,) = replayed(AimdRun("copper", 2.0, 300.0, (close, *RIGHT.frames[1:])))
    assert found.note.startswith("the model's MD ended after 0 of 5 steps: ") and len(found.distance) == 1
    assert found.rdf_model is None and found.overlap == {}


def test_a_molecule_has_displacements_and_no_distribution():
    (found,) = replayed(AimdRun("water", 0.5, 300.0, tuple(molecule("N2") for _ in range(3))))
    assert found.rdf_reference is None and "not periodic" in found.note
    assert len(found.distance) == 3


def test_long_aimd_costs_no_more_than_so_many_steps(monkeypatch):
    monkeypatch.setattr("pfd_worker.md.replay.MOST_STEPS", 8)
    assert MOST_STEPS > 8
    other = AimdRun("other", 2.0, 300.0, RIGHT.frames)
    found = replayed(RIGHT, RIGHT, other)
    assert [(each.system, each.trajectories, len(each.distance)) for each in found] == [
        ("copper", 1, 5),
        ("other", 1, 5),
    ]


def test_a_single_frame_is_no_trajectory_and_a_stop_ends_it():
    assert replayed(AimdRun("copper", 2.0, 300.0, RIGHT.frames[:1])) == []
    assert len(replayed(RIGHT, stopping=True)[0].distance) == 1


def test_trajectories_come_back_from_their_file(tmp_path):
    write_aimd(tmp_path / "aimd.extxyz", [RIGHT, WRONG])
    again = read_aimd(tmp_path / "aimd.extxyz")
    assert [(run.system, run.timestep_fs, run.temperature_kelvin, len(run.frames)) for run in again] == [
        ("copper", 2.0, 300.0, 6)
    ] * 2
    np.testing.assert_allclose(again[0].frames[0].get_velocities(), RIGHT.frames[0].get_velocities(), atol=1e-7)
    (found,) = replayed(again[0])
    assert found.distance[-1] < 1e-5
    write_aimd(tmp_path / "none.extxyz", [])
    assert read_aimd(tmp_path / "none.extxyz") == []


def test_a_cell_smaller_than_its_neighbours_distance_has_a_distribution_too():
    run = AimdRun("copper", 2.0, 300.0, emt_trajectory(bulk("Cu", cubic=True), 4, 1, wrong_by=0.0))
    (found,) = replayed(run)
    assert found.rdf_model.frames == 3 and 3.3 < found.rdf_model.r[-1] < 3.65
    assert found.rdf_model.r[found.rdf_model.g[("Cu", "Cu")].argmax()] == pytest.approx(2.6, abs=0.3)
