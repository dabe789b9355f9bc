import numpy as np
import pytest

from pfd_worker.selection.training_set import TrainingSet
from tests.unit.worker.selection.labelled import labelled


def features(count: int) -> np.ndarray:
    return np.zeros((count, 3), np.float32)


def test_materials_are_told_by_system_and_composition():
    first = labelled("quartz", "SiO2", "a", None)
    for system, formula, trajectory, known in [
        ("quartz", "Si2O4", "b", True),
        ("quartz", "Si2O4", "a", False),
        ("quartz", "SiO", "b", False),
        ("stishovite", "SiO2", "b", False),
    ]:
        frames = [first, labelled(system, formula, trajectory, "aimd")]
        assert TrainingSet.of(features(2), frames).comparable.tolist() == [known, known]
    chosen = [first, labelled("quartz", "SiO2", "b", "farthest")]
    assert TrainingSet.of(features(2), chosen).comparable.tolist() == [True, False]


def test_a_solution_has_many_trajectories_most_of_which_are_the_only_one_of_their_composition():
    def comparable(*formulas):
        frames = [labelled("oxides", formula, str(number), "aimd") for number, formula in enumerate(formulas)]
        return TrainingSet.of(features(len(frames)), frames).comparable.tolist()

    alone = [f"Fe{number}O" for number in range(1, 9)]
    assert comparable(*alone, "Fe9O") == [True] * 9
    assert comparable(*alone, "Al2O3") == [False] * 9, "one of other elements is none of them"
    assert comparable(*alone[:6], *["Fe9O"] * 5) == [True] * 11
    assert comparable(*alone[:5], *["Fe9O"] * 5) == [False] * 5 + [True] * 5


def test_a_file_of_many_compositions_is_one_trajectory_of_a_solution_not_many():
    frames = [labelled("data", f"Fe{number}O", "spec.data[0]", None) for number in range(1, 20)]
    assert not TrainingSet.of(features(19), frames).comparable.any()


@pytest.mark.parametrize(("files", "known"), [(1, False), (2, True)])
def test_a_file_of_data_is_compared_with_others_of_data_only(files, known):
    frames = [labelled("data", "SiO2", f"spec.data[{number}]", None) for number in range(files)]
    frames.append(labelled("quartz", "SiO2", "aimd-quartz-000", "aimd"))
    assert TrainingSet.of(features(len(frames)), frames).comparable.tolist() == [known] * files + [False]
