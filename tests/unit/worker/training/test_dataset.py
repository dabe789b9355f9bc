import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from pfd_worker.training.dataset import GAP_STEPS, MOST_VALIDATION_FRAMES, split_validation


def test_validation_frames_stay_the_same_and_are_never_trained_on():
    frames = [Atoms("H", info={"number": number}) for number in range(30)]
    training, validation = split_validation(frames, 0.1)
    assert len(training) + len(validation) == 30 and 2 <= len(validation) <= 4
    assert not {id(a) for a in training} & {id(a) for a in validation}
    assert [id(a) for a in split_validation(frames, 0.1)[1]] == [id(a) for a in validation]
    assert split_validation(frames[:7], 0.1)[1] == []
    for atoms in frames[:20]:
        atoms.info["sampling"] = "close-contact"
    assert {id(a) for a in split_validation(frames, 0.3)[1]} < {id(a) for a in frames[20:]}
    assert split_validation(frames, 0.0)[1] == []
    assert split_validation(frames[:20], 0.3)[1] == []


@given(count=st.integers(8, 400), fraction=st.floats(0.01, 0.5), more=st.integers(0, 50))
def test_a_frame_keeps_its_part_when_others_are_added(count, fraction, more):
    frames = [Atoms("H", info={"number": number}) for number in range(count + more)]
    validation = [atoms.info["number"] for atoms in split_validation(frames[:count], fraction)[1]]
    # a set of up to 7 frames was trained on whole
    expected = min(MOST_VALIDATION_FRAMES, fraction * (count - 7))
    assert abs(len(validation) - expected) <= 4 and (validation or expected < 1)
    later = [atoms.info["number"] for atoms in split_validation(frames, fraction)[1]]
    if len(validation) > 1 and fraction * len(frames) < MOST_VALIDATION_FRAMES:
        assert [number for number in later if number < count] == validation


@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=5), fraction=st.floats(0.01, 0.5))
@settings(max_examples=50, deadline=None)
def test_of_a_set_that_was_too_small_to_split_none_is_set_aside_later(counts, fraction):
    frames, trained = [], set()
    for iteration, count in enumerate(counts):
        frames += [atoms for n in range(count) for atoms in trajectory(f"i{iteration}-{n}", [100])]
        training, validation = split_validation(frames, fraction)
        assert not trained & {id(atoms) for atoms in validation}
        assert validation or len(frames) < 8 or fraction * len(frames) < 1
        trained |= {id(atoms) for atoms in training}


@given(counts=st.lists(st.integers(60, 3000), min_size=2, max_size=4), fraction=st.floats(0.01, 0.5))
@settings(max_examples=30, deadline=None)
def test_of_many_frames_a_hundred_are_set_aside_and_none_that_was_trained_on(counts, fraction):
    frames = [Atoms("H", info={"number": number}) for number in range(max(counts))]
    trained: set[int] = set()
    for count in sorted(counts):
        training, validation = split_validation(frames[:count], fraction)
        aside = [atoms.info["number"] for atoms in validation]
        assert 1 <= len(aside) <= MOST_VALIDATION_FRAMES + 4
        assert not trained & set(aside)
        trained |= {atoms.info["number"] for atoms in training}
    if fraction * count > 2 * MOST_VALIDATION_FRAMES:
        # over the whole set, not its beginning
        quarters = np.histogram(aside, bins=4, range=(0, count))[0]
        assert quarters.min() > MOST_VALIDATION_FRAMES / 4 - 5


def trajectory(name, steps, stratum="h/300K"):
    """Return frames of MD at these steps; None: of AIMD, which does not say."""
    about = {"trajectory": name, "stratum": stratum}
    return [Atoms("H", info=about if step is None else about | {"step": step}) for step in steps]


def aimd(trajectories, steps):
    """Return those of the first iteration."""
    return [atoms for n in range(trajectories) for atoms in trajectory(f"aimd-{n}", [None] * steps, "h/300K/aimd")]


def explored(iteration, lengths, every, strata=("h/300K", "h/900K")):
    """Return what an iteration adds: some frames of each trajectory first, and others of the same later."""
    found = [
        trajectory(f"i{iteration}-{stratum}-{n}", range(every, every * (length + 1), every), stratum)
        for stratum in strata
        for n, length in enumerate(lengths)
    ]
    return [atoms for part in (slice(0, None, 2), slice(1, None, 2)) for frames in found for atoms in frames[part]]


def nearest_trained(atoms, training):
    """Return the steps from a frame to the nearest one of its trajectory that is trained on."""
    steps = [other.info["step"] for other in training if other.info["trajectory"] == atoms.info["trajectory"]]
    return min((abs(step - atoms.info["step"]) for step in steps), default=10**9)


LENGTHS = st.lists(st.integers(1, 120), min_size=1, max_size=4)


@given(
    rounds=st.lists(st.tuples(LENGTHS, st.integers(1, 60)), min_size=1, max_size=5),
    fraction=st.floats(0.02, 0.5),
)
@settings(max_examples=30, deadline=None)
def test_none_that_was_trained_on_is_set_aside_later_nor_is_one_beside_it(rounds, fraction):
    frames, trained = aimd(2, 5), set()
    for iteration, (lengths, every) in enumerate(rounds):
        frames += explored(iteration, lengths, every)
        training, validation = split_validation(frames, fraction)
        assert not trained & {id(atoms) for atoms in validation}
        trained |= {id(atoms) for atoms in training}
        md = [atoms for atoms in training if "step" in atoms.info]
        assert min((nearest_trained(a, md) for a in validation if "step" in a.info), default=GAP_STEPS) >= GAP_STEPS


@pytest.mark.parametrize("every", [10, 60])
def test_of_long_trajectories_each_condition_has_its_part(every):
    frames = []
    for iteration in range(1, 7):
        frames += explored(iteration, [200], every)
        training, validation = split_validation(frames, 0.1)
        expected = min(0.1 * len(frames), MOST_VALIDATION_FRAMES)
        assert 0.7 * expected <= len(validation) <= 1.25 * expected
        cold = sum(atoms.info["stratum"] == "h/300K" for atoms in validation)
        assert 0.25 < cold / len(validation) < 0.75
        # of the labels that are paid for, few are neither
        assert len(training) + len(validation) >= 0.97 * len(frames)


def test_of_a_few_frames_a_round_about_the_fraction_is_set_aside():
    frames = aimd(4, 5)
    for iteration in range(1, 7):
        frames += explored(iteration, [5, 5], 100)
        _, validation = split_validation(frames, 0.1)
        # AIMD of 5 of 20 is all trained on, and 20 frames are added in each
        assert abs(len(validation) - 2 * iteration) <= 2 and len(validation) > 1


def test_no_trajectory_is_set_aside_that_is_much_more_than_the_fraction():
    # AIMD of 1 fs: one of the trajectories would be 5 of 20
    assert split_validation(aimd(4, 5), 0.1)[1] == []
    training, validation = split_validation(aimd(8, 5), 0.1)
    assert len(validation) == 5 and len(training) == 35
    for trajectories, steps in ((4, 250), (3, 333)):
        assert 30 <= len(split_validation(aimd(trajectories, steps), 0.1)[1]) <= 150


@pytest.mark.parametrize(("trajectories", "steps"), [(4, 50), (4, 100), (3, 100), (2, 200), (1, 400)])
def test_of_few_trajectories_shorter_stretches_are_set_aside_and_stay_so(trajectories, steps):
    frames, trained = aimd(trajectories, steps), set()
    for iteration in range(1, 6):
        training, validation = split_validation(frames, 0.1)
        assert 0.05 * len(frames) <= len(validation) <= 0.2 * len(frames)
        assert len(training) >= 0.7 * len(frames)
        assert not trained & {id(atoms) for atoms in validation}
        trained |= {id(atoms) for atoms in training}
        frames += explored(iteration, [5], 100)


def test_of_one_dense_trajectory_a_round_some_are_set_aside():
    frames = [atoms for n in range(4) for atoms in trajectory(f"i{n}", range(1, 51))]
    assert 20 <= len(split_validation(frames, 0.1)[1]) <= 40


def test_pushed_copies_of_what_is_set_aside_are_not_trained_on():
    frames = explored(1, [100], 10)
    pushed = [atoms.copy() for atoms in frames]
    for atoms in pushed:
        atoms.info["sampling"] = "close-contact"
    training, validation = split_validation(frames + pushed, 0.1)
    assert validation and all(atoms.info.get("sampling") is None for atoms in validation)
    assert min(nearest_trained(atoms, training) for atoms in validation) >= GAP_STEPS
    assert sum("sampling" in atoms.info for atoms in training) >= 0.8 * len(pushed)


def of_file(formulas, name="spec.data[0]"):
    """Return frames of a user's file that says no trajectories."""
    about = {"trajectory": name, "stratum": "data"}
    return [Atoms(formula, info=about | {"number": number}) for number, formula in enumerate(formulas)]


@pytest.mark.parametrize("count", [40, 200, 1000])
def test_of_a_file_that_may_be_of_md_none_is_set_aside_beside_one_that_is_trained_on(count):
    training, validation = split_validation(of_file(["H"] * count), 0.1)
    trained = {atoms.info["number"] for atoms in training}
    assert 0.08 * count <= len(validation) <= 0.15 * count
    assert len(training) >= 0.8 * count
    for atoms in validation:
        assert not trained & {atoms.info["number"] - 1, atoms.info["number"] + 1}


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("frames_of_each", [5, 12, 16, 60])
@pytest.mark.parametrize("mixed", [True, False])
def test_of_a_file_of_many_formulas_each_is_trained_on(fraction, frames_of_each, mixed):
    formulas = [f"H{number}" for number in range(1, 21)]
    given = formulas * frames_of_each if mixed else [each for each in formulas for _ in range(frames_of_each)]
    training, validation = split_validation(of_file(given), fraction)
    expected = min(MOST_VALIDATION_FRAMES, fraction * len(given))
    assert 0.4 * expected <= len(validation) <= 1.6 * expected
    assert {str(atoms.symbols) for atoms in training} == {str(atoms.symbols) for atoms in of_file(formulas)}


def test_few_given_frames_are_set_aside_one_by_one():
    training, validation = split_validation(of_file([f"H{1 + number // 2}" for number in range(40)]), 0.1)
    assert 3 <= len(validation) <= 5 and len(training) + len(validation) == 40
