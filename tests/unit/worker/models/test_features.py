import numpy as np

from pfd_worker.models.base import species_features


def test_exchanging_two_species_changes_the_features_though_the_mean_over_all_atoms_stays():
    descriptors = np.random.default_rng(1).normal(size=(1, 4, 6))
    before = species_features(descriptors, ["Si", "Si", "C", "C"], ["C", "Si"])
    after = species_features(descriptors, ["C", "Si", "Si", "C"], ["C", "Si"])
    assert before.shape == (1, 24) and before.dtype == np.float32
    assert np.abs(before - after).max() > 0.1


def test_features_do_not_depend_on_the_order_of_atoms_and_missing_elements_give_zeros():
    descriptors = np.random.default_rng(2).normal(size=(2, 4, 3))
    order = [2, 0, 3, 1]
    symbols = np.array(["Si", "Si", "C", "C"])
    first = species_features(descriptors, list(symbols), ["C", "Ge", "Si"])
    second = species_features(descriptors[:, order], list(symbols[order]), ["C", "Ge", "Si"])
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert not first[:, 6:12].any()
