import numpy as np
import pytest

from pfd_worker.report.feature_map import MAX_POINTS, feature_map


def planar(count: int, seed: int = 1) -> np.ndarray:
    """Features that lie in a plane of a space of 40 dimensions, far from its origin."""
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(rng.normal(size=(40, 2)))[0].T
    return (100 + rng.normal(size=(count, 2)) * (3, 1) @ plane).astype(np.float32)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def test_distances_in_a_plane_are_those_of_the_features():
    features = planar(50)
    found = feature_map(features, 10, seed=1)
    assert found is not None
    np.testing.assert_allclose(distances(found.points), distances(features.astype(float)), atol=1e-3)
    assert sum(found.explained) == pytest.approx(1, abs=1e-6) and found.explained[0] > 0.75
    assert found.is_new.tolist() == [False] * 40 + [True] * 10


@pytest.mark.parametrize(
    "features",
    [np.zeros((0, 0)), np.zeros((2, 8)), np.full((5, 8), 3.7), np.arange(5.0)[:, None]],
    ids=["no frames", "two frames", "equal frames", "one feature"],
)
def test_no_map_without_two_directions_to_draw(features):
    assert feature_map(features.astype(np.float32), 0, seed=1) is None


def test_equal_features_give_an_equal_map_whatever_sign_the_decomposition_takes():
    features = planar(30)
    first, second = feature_map(features, 5, 1), feature_map(features[:, ::-1].copy(), 5, 1)
    assert first is not None and second is not None
    np.testing.assert_allclose(first.points, second.points, atol=1e-3)


def test_thinning_keeps_the_new_frames():
    found = feature_map(planar(MAX_POINTS + 500), 40, seed=1)
    assert found is not None
    assert len(found.points) == MAX_POINTS and found.is_new.sum() == 40 and found.total == MAX_POINTS + 500
    crowded = feature_map(planar(MAX_POINTS + 500), MAX_POINTS + 100, seed=1)
    assert crowded is not None and crowded.is_new.all() and len(crowded.points) == MAX_POINTS
