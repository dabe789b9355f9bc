"""Two rounds from MD to report with calculators in place of trained models: what a train stage tells for the limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT

from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.result import CautionReason
from pfd_worker.evaluation.errors import FrameError, summarise
from pfd_worker.frames import GIVEN, Sampling
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.rounds.contender import RELATIVE_ENERGY, Contender, squares_of
from pfd_worker.rounds.course import measure_fit
from pfd_worker.training.dataset import split_validation
from pfd_worker.training.runner import Trained
from tests.unit.worker.rounds.prepared import UntrainedRound, iteration, prepared, round_of
from tests.unit.worker.stages.label_tasks import crystals
from tests.unit.worker.stages.loop import Loop, measured, ref

LATER = {"frames": 8, "representativeFraction": 1, "noiseFrames": 1}


class RoundWithNothingLeftToTrain(UntrainedRound):
    """An attempt that found the last checkpoint of the one before."""

    def train(self, dataset, output):
        super().train(dataset, output)
        return Trained(5, 5, [], len(dataset), 0, self.folder / "lcurve.out")


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    loop = Loop(tmp_path_factory.mktemp("rounds"))
    prepare = prepared(loop)
    start = {"frames": 8, "representativeFraction": 1, "aimd": {"trajectories": 2, "steps": 6}, "noiseFrames": 8}
    first = iteration(loop, 0, prepare, start, None)
    second = iteration(loop, 1, prepare, LATER, ref(first))
    third = iteration(loop, 2, prepare, LATER, ref(second))
    return loop, first, second, third


def test_the_first_round_tells_the_noise_of_labels_and_trains_on_none_of_them(rounds):
    _, first, *_ = rounds
    assert measured(first) == {"pretrained", "shifted", "label_noise", "holdout", "best"}
    noise = first.outcome.errors.label_noise
    assert (noise.frames, first.outcome.errors.holdout.frames, first.outcome.training_frames) == (8, 8, 12)
    # the model is the tighter engine itself: the labels' noise is its error
    assert 0 < noise.force_rmse == pytest.approx(first.outcome.errors.holdout.force_rmse, rel=1e-4)


def test_strata_upper_ends_novelty_and_explosions_are_told(rounds):
    loop, first, second, _ = rounds
    assert first.outcome.exploration.novel is None, "nothing was labelled before"
    found = second.outcome
    # two trajectories of AIMD are too few to tell what is new to them
    assert found.exploration == ExplorationCounts(candidates=24, novel=None, trajectories=2, exploded=0)
    assert found.errors.holdout.energy_rmse_per_atom_high is not None
    assert found.holdout_strata == ["copper/300K,600K"]
    worst = found.worst_strata.holdout
    assert worst.force.stratum in ("copper/300K", "copper/600K")
    assert worst.force.rmse == pytest.approx(found.errors.holdout.worst_stratum_force_rmse)
    assert found.worst_strata.prequential.energy is not None, "4 frames in each stratum"
    history = loop.load_json(ref(second), "history.json")
    assert history["iterations"][1]["exploration"] == found.exploration.to_json()
    assert set(history["baselines"]) == {"pretrained", "shifted", "labelNoise", "trainingLabelNoise"}


def test_later_rounds_tell_the_noise_of_the_newest_labels_and_train_on_none_of_the_tighter(rounds):
    loop, first, second, _ = rounds
    assert "label_noise" not in measured(second), "it is of the hold-out, which stays"
    assert second.outcome.training_frames == 12 + 8
    baselines = loop.load_json(ref(second), "history.json")["baselines"]
    assert baselines["labelNoise"] == loop.load_json(ref(first), "history.json")["baselines"]["labelNoise"]
    noise = baselines["trainingLabelNoise"]
    assert noise["frames"] == 1 and noise["forceRmse"] > 0
    assert "energyRmsePerAtom" in noise, "pairs of the round before tell the shift"


def not_converged(result):
    return [each.message for each in result.cautions if each.reason is CautionReason.LABELS_NOT_CONVERGED]


def test_labels_that_are_not_converged_are_remarked_for_as_long_as_they_are_trained_on(rounds):
    *_, second, third = rounds
    # the model is the tighter engine: it errs by no more than the hold-out's noise
    ((found,), (still,)) = not_converged(second), not_converged(third)
    assert found.startswith("1 of 1 labels") and still.startswith("1 of 2 labels")
    assert all(
        "i001-training-copper-s0-600K-r0, step 55, by 0.0047 eV/Å (hold-out 0.0011)" in each for each in (found, still)
    )


def test_a_round_that_finds_its_training_done_ends_without_a_curve(tmp_path):
    loop = Loop(tmp_path)
    start = {"frames": 4, "representativeFraction": 1, "aimd": {"trajectories": 1, "steps": 3}}
    result = iteration(loop, 0, prepared(loop), start, None, RoundWithNothingLeftToTrain)
    assert result.ok and result.outcome.resumed_from_step == 5
    assert "lcurve.out" not in loop.manifest(result).files
    assert result.outcome.errors.training.frames == 3


def test_a_model_is_measured_on_a_sample_of_the_even_frames_it_was_trained_on(tmp_path, monkeypatch):
    loop = Loop(tmp_path)
    training = {"steps": 1, "validationFraction": 0.2}
    mine = round_of(loop, 0, {"prepare": prepared(loop)}, UntrainedRound, training=training)
    labelled = crystals(*["Cu"] * 12)
    for atoms in labelled:
        atoms.calc = EMT()
        atoms.get_potential_energy()
    for atoms, sampling in zip(labelled, (Sampling.BRINK, Sampling.FARTHEST), strict=False):
        atoms.info["sampling"] = sampling
    trained, aside = split_validation(labelled, 0.2)
    measured_on = []

    class Model:
        def predict(self, frames):
            measured_on.extend(frames)
            return CalculatorModel(lambda: EMT(asap_cutoff=True)).predict(frames)

    for most, count in ((4, 4), (64, 12 - 2 - len(aside))):
        monkeypatch.setattr("pfd_worker.rounds.course.FRAMES_OF_FIT", most)
        measured_on.clear()
        measure_fit(mine, Model(), labelled)
        assert mine.measures.metrics["training"].frames == len(measured_on) == count
        assert aside and all(any(atoms is each for each in trained[2:]) for atoms in measured_on)
    for atoms in trained[4:]:
        atoms.info["stratum"] = GIVEN
    measured_on.clear()
    measure_fit(mine, Model(), labelled)
    assert len(measured_on) == 2, "those of its own MD, where there are any"
    mine.measures.metrics.clear()
    measure_fit(mine, Model(), labelled[:2])
    assert "training" not in mine.measures.metrics, "no even frame"


def contender(force, energy, zero=0.0):
    """Return a model with errors on 16 frames of 8 trajectories, and energies that are off by a constant besides."""
    rng = np.random.default_rng(1)
    errors = []
    for number in range(16):
        about, forces = 8 * (energy * rng.normal() + zero), force * rng.normal(size=(8, 3))
        errors.append(FrameError("copper/300K", ("Cu",) * 8, about, forces, None, f"{number // 2}"))
    return Contender(Path("model"), summarise(errors), None, squares_of(errors))


@pytest.mark.parametrize(
    ("newest", "limited", "kept"),
    [
        (contender(0.29, 0.001), [], True),
        (contender(0.3, 0.001), [], False),
        (contender(0.29, 0.1), [], False),
        (contender(0.1, 0.1), ["energy"], False),
        (contender(0.301, 0.0001), [], False),
        (contender(0.31, 0.0001), ["energy"], False),
        (contender(0.29, 0.001, zero=0.3), [], True),
    ],
    ids=["better", "equal", "energies lost", "much won for it", "not asked for", "forces lost", "another zero"],
)
def test_a_model_that_is_no_better_than_the_shifted_one_is_never_kept(tmp_path, newest, limited, kept):
    loop = Loop(tmp_path)
    mine = round_of(loop, 0, {"prepare": prepared(loop)}, UntrainedRound, limited=limited or None)
    shifted = contender(0.3, 0.001, zero=0.2)
    mine._baseline = shifted.lowest
    assert mine.replaces(newest, shifted) is kept


def test_later_rounds_know_the_errors_of_the_shifted_model(rounds):
    loop, first, second, _ = rounds
    told = [loop.manifest(ref(result)).summary["baseline"] for result in (first, second)]
    assert told[0] == told[1] and set(told[0]) >= {"force", RELATIVE_ENERGY}
