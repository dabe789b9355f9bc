import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.selection.distance import Distance, distances_to_set
from pfd_worker.selection.novelty import count_novel, duplicate_score, select_novel
from pfd_worker.selection.training_set import TrainingSet
from pfd_worker.selection.variance import PosteriorVariance
from tests.unit.worker.selection.labelled import each_by_itself, labelled

MEASURES = pytest.mark.parametrize("measure", [Distance, PosteriorVariance])
NOTHING = np.zeros((0, 3), np.float32)


def cloud(count: int, seed: int, centre: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1, (count, 3)).astype(np.float32)


def select(measure, features, strata, count, training, seed):
    return select_novel(measure(features, each_by_itself(training)), strata, range(len(features)), count, seed)


@MEASURES
@given(st.integers(1, 40), st.integers(0, 50), st.integers(0, 12), st.integers(1, 4), st.integers(0, 1000))
def test_exactly_n_distinct_rows_whatever_the_training_set(measure, candidates, count, known, n_strata, seed):
    features = cloud(candidates, seed)
    strata = [f"s{number % n_strata}" for number in range(candidates)]
    training = features[:known] if known else NOTHING
    chosen = select(measure, features, strata, count, training, seed)
    assert len(chosen) == len(set(chosen)) == min(count, candidates)
    assert chosen == select(measure, features, strata, count, training, seed)


@MEASURES
def test_outliers_are_chosen_before_the_crowd(measure):
    features = np.concatenate([cloud(100, 1) * 0.01, [[5, 0, 0], [0, 5, 0], [0, 0, 5]]]).astype(np.float32)
    assert set(select(measure, features, ["s"] * 103, 3, cloud(10, 2) * 0.01, seed=1)) == {100, 101, 102}


@MEASURES
def test_each_stratum_fills_its_share_even_if_another_is_more_diverse(measure):
    features = np.concatenate([cloud(50, 1) * 10, cloud(50, 2) * 0.1])
    chosen = select(measure, features, ["wide"] * 50 + ["narrow"] * 50, 10, NOTHING, seed=3)
    assert sum(row < 50 for row in chosen) == 5


@MEASURES
def test_near_duplicates_of_the_training_set_come_last(measure):
    training = cloud(50, 1)
    copies = training[:20] + np.float32(1e-5)
    fresh = cloud(5, 2, centre=4.0)
    features = np.concatenate([copies, fresh])
    chosen = select(measure, features, ["s"] * 25, 8, training, seed=4)
    assert set(chosen[:5]) == set(range(20, 25))
    assert len(chosen) == 8


@MEASURES
def test_only_the_rows_offered_are_chosen(measure):
    chosen = select_novel(measure(cloud(20, 1), each_by_itself(cloud(5, 2))), ["s"] * 20, {3, 5, 8}, 10, seed=1)
    assert set(chosen) == {3, 5, 8}


@MEASURES
def test_md_like_the_training_set_has_a_tenth_of_new_frames_and_one_elsewhere_has_nothing_else(measure):
    training = each_by_itself(cloud(400, 1))
    assert 0.05 < count_novel(measure(cloud(2000, 2), training)) / 2000 < 0.15
    assert count_novel(measure(cloud(100, 3, centre=20.0), training)) == 100


@MEASURES
@pytest.mark.parametrize(("known", "told"), [(0, False), (8, False), (9, True)])
def test_a_small_training_set_tells_nothing_of_what_is_new(measure, known, told):
    assert (count_novel(measure(cloud(20, 1), each_by_itself(cloud(known, 2)))) is not None) == told


@MEASURES
def test_trajectories_tell_what_is_new_however_many_frames_they_have(measure):
    features = cloud(45, 2)
    for count, told in ((8, False), (9, True)):
        training = TrainingSet(features, np.arange(45) % count, np.ones(45, dtype=bool))
        assert (count_novel(measure(cloud(20, 1), training)) is not None) == told


def vibrations(rng: np.random.Generator, steps: np.ndarray) -> np.ndarray:
    """One trajectory of twenty modes of 3 to 15 THz; steps in fs."""
    per_fs = 2 * np.pi * rng.uniform(3, 15, 20) * 1e-3
    phases = per_fs * steps[:, None] + rng.uniform(0, 2 * np.pi, 20)
    return (np.sqrt(rng.exponential(1, 20)) * np.cos(phases)).astype(np.float32)


def fifty_selections(aimd: int, even: int, farthest: int) -> np.ndarray:
    """Parts of MD that are near-duplicates of, and new to, labels of the same vibrations by how these were chosen."""
    rng, parts = np.random.default_rng(0), []
    for _ in range(50):
        labels = [vibrations(rng, 2.0 * np.arange(5)) for _ in range(aimd)]
        labels += [vibrations(rng, rng.uniform(0, 2000, 1)) for _ in range(even)]
        md = [vibrations(rng, 20.0 * np.arange(30)) for _ in range(farthest)]
        for frames in md:
            labels.append(frames[distances_to_set(frames, np.concatenate(labels)).argmax()][None])
        samplings = ["aimd"] * 5 * aimd + ["representative"] * even + ["farthest"] * farthest
        names = [str(number) for number, frames in enumerate(labels) for _ in frames]
        about = zip(names, samplings, strict=True)
        known = [labelled("si", "Si", name, sampling) for name, sampling in about]
        candidates = np.concatenate([vibrations(rng, 20.0 * np.arange(100)) for _ in range(4)])
        novelty = Distance(candidates, TrainingSet.of(np.concatenate(labels), known))
        parts.append((np.mean(novelty.scores <= duplicate_score(novelty)), count_novel(novelty) / len(candidates)))
    return np.mean(parts, axis=0)


@pytest.mark.parametrize("labels", [(9, 0, 0), (4, 10, 0), (4, 20, 20), (0, 20, 0)])
def test_md_like_that_of_the_labels_has_a_tenth_of_new_frames_and_of_near_duplicates(labels):
    duplicates, novel = fifty_selections(*labels)
    assert 0.05 < duplicates < 0.2
    assert 0.05 < novel < 0.15


def of_materials(trajectories: dict[str, int], frames: int = 2) -> tuple[TrainingSet, dict[str, np.ndarray]]:
    """A set of so many AIMD trajectories of each material, and the features around which those of it are."""
    centres, features, about = {}, [], []
    for number, (formula, count) in enumerate(trajectories.items()):
        centres[formula] = cloud(1, number, centre=30.0 * number)
        for trajectory in range(count):
            features.append(centres[formula] + cloud(1, 100 * number + trajectory) + 0.05 * cloud(frames, trajectory))
            about += [labelled("metals", formula, f"aimd-{formula}-{trajectory}", "aimd")] * frames
    return TrainingSet.of(np.concatenate(features).astype(np.float32), about), centres


def around(centres: dict[str, np.ndarray], spread: float) -> np.ndarray:
    return np.concatenate([centre + spread * cloud(50, 7) for centre in centres.values()]).astype(np.float32)


@MEASURES
@pytest.mark.parametrize("alone", [4, 10])
def test_a_trajectory_that_is_the_only_one_of_its_material_tells_nothing_of_what_is_new(measure, alone):
    formulas = ["Al", "Cu", "Ni", "Al3Cu", "C", "N", "O", "F", "P", "S"]
    training, centres = of_materials(dict.fromkeys(formulas[:alone], 1))
    novelty = measure(around(centres, 1.0), training)
    assert duplicate_score(novelty) == 0 and count_novel(novelty) is None


@MEASURES
def test_what_is_new_is_told_by_materials_with_several_trajectories_beside_others_with_one(measure):
    training, centres = of_materials({"Al": 10, "Cu": 1, "Ni": 1, "C": 1, "Si": 1})
    aluminium = {"Al": centres["Al"]}
    assert count_novel(measure(around(aluminium, 1.0), training)) < 30
    assert count_novel(measure(around(aluminium, 8.0), training)) > 30


@pytest.mark.parametrize(("trajectories", "told"), [(8, False), (9, True), (30, True)])
def test_of_a_solid_solution_all_compositions_are_one_material(trajectories, told):
    rng = np.random.default_rng(0)
    silicon = np.arange(20, 20 + trajectories + 20)
    features = np.column_stack([silicon / 32, *0.3 * rng.normal(size=(5, len(silicon)))])[rng.permutation(len(silicon))]
    alloys = [labelled("sige", f"Si{n}Ge{97 - n}", f"t{n}", "representative") for n in silicon[:trajectories]]
    known, candidates = np.split(features.astype(np.float32), [trajectories])
    novelty = Distance(candidates, TrainingSet.of(known, alloys))
    assert (count_novel(novelty) is not None) == (duplicate_score(novelty) > 0) == told
    if told:
        assert count_novel(novelty) <= 8
