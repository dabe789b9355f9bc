import numpy as np
import pytest

from pfd_worker.evaluation.errors import energy_rmse_per_atom, force_rmse, frame_errors
from pfd_worker.frames import energy_of
from pfd_worker.models.base import Prediction
from pfd_worker.report.comparison import MAX_POINTS, compare, force_bins, histogram
from tests.unit.worker.report.samples import holdout_frames, predictions_for


def test_nothing_is_lost_in_few_frames():
    frames = holdout_frames(9)
    predictions = predictions_for(frames, 0.1)
    comparison = compare(frames, predictions, seed=1)
    errors = frame_errors(frames, predictions)
    energy = comparison.energy.predicted - comparison.energy.label
    assert np.sqrt(np.mean(energy**2)) == pytest.approx(energy_rmse_per_atom(errors))
    np.testing.assert_allclose(comparison.forces.label, np.concatenate([a.get_forces().ravel() for a in frames]))
    assert comparison.forces.systems[:24] == ("diamond",) * 24 and comparison.forces.total == 9 * 24
    assert comparison.virial is not None and len(comparison.virial.label) == 9 * 6
    first = predictions[0].virial[np.triu_indices(3)] / 8
    np.testing.assert_allclose(comparison.virial.predicted[:6], first)


def test_compositions_far_apart_in_energy_do_not_hide_the_errors():
    frames = holdout_frames(30)
    label = compare(frames, predictions_for(frames, 0.1), seed=1).energy.label
    spread = np.ptp([energy_of(atoms) / len(atoms) for atoms in frames])
    assert spread > 1.8 and np.ptp(label) < 0.2
    assert abs(label.mean()) < 1e-9


def test_thinning_is_bounded_seeded_and_keeps_the_worst_point():
    frames = holdout_frames(300)
    predictions = predictions_for(frames, 0.01)
    forces = predictions[137].forces.copy()
    forces[3, 1] += 50
    predictions[137] = Prediction(predictions[137].energy, forces, predictions[137].virial)
    for seed in (3, 4):
        points = compare(frames, predictions, seed).forces
        assert len(points.label) == len(points.predicted) == len(points.systems) == MAX_POINTS
        assert points.total == 300 * 24
        assert np.max(np.abs(points.predicted - points.label)) > 49
    again = compare(frames, predictions, seed=4).forces
    np.testing.assert_array_equal(again.label, points.label)
    assert not np.array_equal(compare(frames, predictions, seed=5).forces.label, points.label)


def test_frames_without_virial_have_no_virial_points():
    frames = holdout_frames(5, virial=False)
    assert compare(frames, predictions_for(frames, 0.1), seed=1).virial is None
    mixed = [*frames, *holdout_frames(2)]
    points = compare(mixed, predictions_for(mixed, 0.1), seed=1).virial
    assert points is not None and points.total == 12


@pytest.mark.parametrize("count", [1, 4, 100])
def test_force_bins_add_up_to_the_whole_error(count):
    frames = holdout_frames(count)
    predictions = predictions_for(frames, 0.1)
    bins = compare(frames, predictions, seed=1).force_bins
    assert bins.atoms.sum() == 8 * count and (np.diff(bins.edges) >= 0).all()
    total = np.sqrt(np.sum(bins.rmse**2 * bins.atoms) / bins.atoms.sum())
    assert total == pytest.approx(force_rmse(frame_errors(frames, predictions)))


def test_force_bins_show_where_large_forces_are_wrong():
    labels = np.linspace(0.1, 5, 500)[:, None] * np.array([1.0, 0.0, 0.0])
    bins = force_bins(labels, 1.1 * labels)
    assert (np.diff(bins.rmse) > 0).all()
    assert bins.rmse[-1] == pytest.approx(0.1 * np.sqrt(np.mean(labels[-50:, 0] ** 2) / 3))


@pytest.mark.parametrize("errors", [np.zeros(30), np.array([0.2]), np.random.default_rng(1).standard_cauchy(10_000)])
def test_every_error_is_in_the_histogram(errors):
    counted = histogram(errors)
    assert counted.counts.sum() == len(errors) and len(counted.edges) == len(counted.counts) + 1
    assert counted.edges[0] == -counted.edges[-1] < 0
