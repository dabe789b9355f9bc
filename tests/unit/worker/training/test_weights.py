import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from pfd_worker.frames import GIVEN, Sampling
from pfd_worker.training.weights import MEAN_COPIES, copies_in_training, weigh


def frame(stratum: str, sampling: str | None = Sampling.REPRESENTATIVE) -> Atoms:
    return Atoms("Si", info={"stratum": stratum, "sampling": sampling, "weight": 17.0})


def weights_of(frames: list[Atoms], asked: dict[str, int]) -> list[float | None]:
    weigh(frames, asked)
    return [atoms.info.get("weight") for atoms in frames]


def test_strata_weigh_by_the_root_of_the_md_asked_for_however_many_are_labelled():
    frames = [frame("a"), frame("a", Sampling.FARTHEST), frame("b", Sampling.LOW_ENERGY)]
    assert weights_of(frames, {"a": 900, "b": 100, "c": 400}) == pytest.approx([9 / 8, 9 / 8, 3 / 4])


def test_strata_of_as_much_md_and_as_many_labels_weigh_alike():
    frames = [frame("a"), frame("b")]
    assert weights_of(frames, {"a": 70, "b": 70}) == [1.0, 1.0]
    assert copies_in_training(frames) == [1, 1]


@pytest.mark.parametrize(
    "other",
    [
        frame("a", Sampling.AIMD),
        frame("a", Sampling.CLOSE_CONTACT),
        frame("a", Sampling.BRINK),
        frame("a", Sampling.HEATING),
        frame("a", None),
        frame(GIVEN),
        frame("explored before"),
    ],
    ids=lambda atoms: f"{atoms.info['stratum']} {atoms.info['sampling']}",
)
def test_other_frames_have_the_mean_weight(other):
    counted = [frame("a"), frame("b")]
    assert weights_of([*counted, other], {"a": 400, "b": 100}) == pytest.approx([4 / 3, 2 / 3, None])
    assert copies_in_training([*counted, other]) == [3, 1, 2]


@pytest.mark.parametrize(("labels", "asked"), [((1, 99), (100, 100)), ((4, 60, 60), (1600, 100, 100))])
def test_a_few_labels_are_not_half_of_the_training(labels, asked):
    """As of a stratum whose MD explodes at once, or that a restart has added."""
    frames = [frame(stratum) for stratum, number in zip("abc", labels, strict=False) for _ in range(number)]
    weights = weights_of(frames, dict(zip("abc", asked, strict=False)))
    assert weights[0] == pytest.approx(4, rel=0.05)
    assert sum(weights) == pytest.approx(len(frames))
    assert len(set(weights[labels[0] :])) == 1


def test_without_any_md_all_weigh_alike():
    assert weights_of([frame("a"), frame("b")], {}) == [None, None]
    assert copies_in_training([]) == []


def test_odd_shares_of_equal_md_make_no_copies():
    frames = [frame(stratum) for stratum in "aaaaabbbb"]
    weigh(frames, {"a": 100, "b": 100})
    assert copies_in_training(frames) == [1] * 9


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(list(Sampling))), min_size=1, max_size=50),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 10**6)),
)
def test_every_label_is_trained_on_and_copies_are_bounded(labels, asked):
    frames = [frame(*label) for label in labels]
    weigh(frames, asked)
    copies = copies_in_training(frames)
    assert min(copies) >= 1
    assert sum(copies) <= (MEAN_COPIES + 1) * len(frames)
    assert sum(atoms.info.get("weight", 1.0) for atoms in frames) == pytest.approx(len(frames))
