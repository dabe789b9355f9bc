import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.distance import cdist

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.models.base import species_features
from pfd_worker.models.features import features_of, features_of_labelled


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


def newness(off, atoms: int) -> float:
    """Return the distance from thermal frames of those in which some atoms are elsewhere.

    Parameters
    ----------
    off
        Element → of how many of its atoms the descriptors are moved, and by how many standard deviations.
    atoms
        Of silicon; there is one of germanium, too.

    Returns
    -------
    float
        In units of what nine in ten thermal frames are nearer to one another than.
    """
    rng, symbols = np.random.default_rng(1), ["Ge", *["Si"] * atoms]
    thermal, moved = rng.normal(size=(60, atoms + 1, 16)), rng.normal(size=(20, atoms + 1, 16))
    for element, (count, deviations) in off.items():
        moved[:, [number for number, symbol in enumerate(symbols) if symbol == element][:count]] += deviations
    known, new = (species_features(each, symbols, ["Ge", "Si"]) for each in (thermal, moved))
    own = cdist(known, known)
    np.fill_diagonal(own, np.inf)
    return float(cdist(new, known).min(axis=1).mean() / np.quantile(own.min(axis=1), 0.9))


@pytest.mark.parametrize(
    ("atoms", "off", "least"),
    [
        (7, {"Si": (1, 5)}, 1.5),
        (63, {"Si": (4, 5)}, 4),
        (107, {"Si": (10, 5)}, 5),
        (107, {"Si": (1, 5)}, 1.7),
        (511, {"Si": (4, 5)}, 3),
        (107, {"Ge": (1, 5)}, 1.7),
        (511, {"Si": (511, 0.33), "Ge": (1, 0.33)}, 1.7),
    ],
    ids=["small cell", "site", "region beside a dopant", "atom", "site of 512 atoms", "dopant", "all a little"],
)
def test_what_is_new_stands_out_from_thermal_motion_whatever_part_of_the_atoms_it_is(atoms, off, least):
    assert newness({}, atoms) < 1
    assert newness(off, atoms) > least


class Described:
    def __init__(self, descriptors):
        self.descriptors = descriptors

    def features(self, frames, elements):
        with np.errstate(over="ignore"):
            return np.concatenate([species_features(each[None], ["Cu"], elements) for each in self.descriptors])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e40])
def test_features_of_labelled_frames_that_are_not_numbers_are_an_error_that_names_the_frame(value):
    frames = [bulk("Cu") for _ in range(3)]
    frames[1].info["trajectory"] = "i001-training-copper-s0-300K-r0"
    model = Described(np.array([[[0.0]], [[value]], [[value]]]))
    with pytest.raises(StageError, match=r"2 of 3 labelled frames.*frame 1 \(Cu, i001-training-copper") as caught:
        features_of_labelled(model, frames, ["Cu"])
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.NOT_A_NUMBER)
    assert features_of_labelled(Described(np.zeros((3, 1, 1))), frames, ["Cu"]).shape == (3, 2)
    assert features_of_labelled(model, [], ["Cu"]).shape == (0, 0)
    # of candidates selection leaves such out
    assert np.isfinite(features_of(model, frames, ["Cu"])).all(axis=1).tolist() == [True, False, False]
