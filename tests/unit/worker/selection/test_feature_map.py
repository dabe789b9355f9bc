import numpy as np
import pytest

from pfd_worker.selection.feature_map import MAX_POINTS, FeatureMap, Role, feature_map


def planar(count: int, seed: int = 1) -> np.ndarray:
    """Features that lie in a plane of a space of 40 dimensions, far from its origin."""
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(rng.normal(size=(40, 2)))[0].T
    return (100 + rng.normal(size=(count, 2)) * (3, 1) @ plane).astype(np.float32)


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def test_distances_in_a_plane_are_those_of_the_features():
    features = planar(50)
    found = feature_map(features[:40], features[40:], {3, 7}, seed=1)
    assert found is not None
    np.testing.assert_allclose(distances(found.points), distances(features.astype(float)), atol=1e-3)
    assert sum(found.explained) == pytest.approx(1, abs=1e-6) and found.explained[0] > 0.75
    assert np.flatnonzero(found.roles == Role.CHOSEN).tolist() == [3, 7]
    assert np.flatnonzero(found.roles == Role.LABELLED).tolist() == list(range(40, 50))


@pytest.mark.parametrize(
    "features",
    [np.zeros((0, 0)), np.zeros((2, 8)), np.full((5, 8), 3.7), np.arange(5.0)[:, None]],
    ids=["no frames", "two frames", "equal frames", "one feature"],
)
def test_no_map_without_two_directions_to_draw(features):
    features = features.astype(np.float32)
    assert feature_map(features, features[:0], set(), seed=1) is None


def test_equal_features_give_an_equal_map_whatever_sign_the_decomposition_takes():
    features = planar(30)
    other = features[:, ::-1].copy()
    first, second = (feature_map(each, each[:0], {5}, 1) for each in (features, other))
    assert first is not None and second is not None
    np.testing.assert_allclose(first.points, second.points, atol=1e-3)


@pytest.mark.parametrize(
    ("candidates", "labelled", "drawn"),
    [
        (MAX_POINTS + 500, 100, (MAX_POINTS - 140, 100, 40)),
        (MAX_POINTS, MAX_POINTS, (980, 980, 40)),
        (300, MAX_POINTS, (260, MAX_POINTS - 300, 40)),
    ],
)
def test_thinning_keeps_what_was_chosen_and_leaves_room_for_both_others(candidates, labelled, drawn):
    features = planar(candidates + labelled)
    found = feature_map(features[:candidates], features[candidates:], set(range(0, 80, 2)), seed=1)
    assert found is not None and found.total == candidates + labelled
    assert tuple(np.sum(found.roles == role) for role in Role) == drawn


def test_a_map_comes_back_from_its_json():
    features = planar(20)
    found = feature_map(features[:12], features[12:], {1}, seed=1)
    assert found is not None
    again = FeatureMap.from_json(found.to_json())
    np.testing.assert_allclose(again.points, found.points, rtol=1e-5, atol=1e-5)
    assert again.roles.tolist() == found.roles.tolist() and again.to_json() == found.to_json()
