"""Rounds of students with calculators in their place: which is exported, and what error is expected of MD."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from pfd_operator.contract.outcome import ErrorMetrics
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageRef
from pfd_worker.evaluation.errors import force_rmse, frame_errors
from pfd_worker.families import DEEPMD
from pfd_worker.frames import labelled
from pfd_worker.models.base import FEATURE_FORM
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.rounds.contender import RELATIVE_ENERGY, Contender
from pfd_worker.rounds.course import run_round
from pfd_worker.rounds.explorer_check import ExplorerCheck
from pfd_worker.rounds.fine_tune import FineTuneRound
from pfd_worker.rounds.measures import Measures
from pfd_worker.rounds.student import StudentRound
from pfd_worker.run import commit
from pfd_worker.store.manifests import manifest_key
from tests.unit.worker.rounds.prepared import prepared, round_of
from tests.unit.worker.stages.loop import EXPLORATION, LABEL, Loop, explore_params, ref


class Exaggerates(EMT):
    """Forces too large by some factor: so is the error of each frame."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] = self.results["forces"] * (1 + self.factor)


FAMILY = dataclasses.replace(DEEPMD, open=lambda path: CalculatorModel(lambda: Exaggerates(float(path.read_text()))))


class GivenRound(StudentRound):
    """The student is as bad as it is told to be."""

    factor = 0.0
    given: dict[str, np.ndarray] | None = None

    def train(self, dataset, output):
        output.write_text(str(self.factor))

    def better(self, so_far, newest):
        return super().better(so_far, newest if self.given is None else dataclasses.replace(newest, lowest=self.given))


class Job:
    """Rounds on the same labels, one after another."""

    def __init__(self, loop: Loop, inputs: dict[str, StageRef]) -> None:
        self.loop = loop
        self.inputs = inputs
        self.rounds = 0

    def round(self, factor: float, squares: dict[str, np.ndarray] | None = None) -> StageResult:
        """Run a round whose student exaggerates by a factor; `squares` of its errors are given instead, if at all."""
        self.rounds += 1
        trained = round_of(self.loop, self.rounds, self.inputs, GivenRound, FAMILY, limited=["energy"])
        trained.factor, trained.given = factor, squares
        result = commit(trained.context, run_round(trained), 0.0).result
        self.inputs = {**self.inputs, "train": ref(result)}
        return result


@pytest.fixture(scope="module")
def labelled_job(tmp_path_factory) -> Job:
    """A job before its first round."""
    loop = Loop(tmp_path_factory.mktemp("labelled"))
    prepare = prepared(loop)
    given = {"prepare": prepare, "model": prepare}
    explore = loop.indexed(explore_params("hold-out"), 0, given, EXPLORATION["pods"])
    params = {
        "stage": "select", "purpose": "hold-out", "frames": 6, "representativeFraction": 1,
        "aimd": {"trajectories": 1, "steps": 3},
    }  # fmt: skip
    select = ref(loop.run(params, 0, {"prepare": prepare, "explore": explore}))
    label = loop.indexed(LABEL, 0, {"select": select}, 1)
    return Job(loop, {"prepare": prepare, "select": select, "label": label})


@pytest.fixture
def job(labelled_job, tmp_path) -> Job:
    """The same with a store of its own: rounds of another test must not be found again."""
    shutil.copytree(labelled_job.loop.folder / "store", tmp_path / "store")
    return Job(Loop(tmp_path), labelled_job.inputs)


def test_a_student_that_is_worse_on_every_frame_is_not_kept_by_however_little(job):
    preferred = [job.round(factor).outcome.best_iteration for factor in (0.1, 0.101, 0.1, 0.05, 0.1, 0.051, 0.05)]
    assert preferred == [1, 1, 3, 4, 4, 4, 7]


def test_cells_short_for_the_student_are_remarked_by_a_reason_of_its_own(job, monkeypatch):
    assert job.round(0.1).cautions == []
    monkeypatch.setattr(CalculatorModel, "cutoff", 100.0)
    (caution,) = job.round(0.1).cautions
    assert caution.reason == "CellsShortForStudent" and "cutoff of 100 Å: copper" in caution.message


def given_rounds(job, *errors):
    """Iterations that are preferred of students with such force and energy errors, which scatter over trajectories."""
    rng, preferred = np.random.default_rng(0), []
    hard = np.exp(0.8 * rng.normal(size=8))
    for force, energy in errors:
        scatter = np.exp(0.3 * rng.normal(size=8))
        squares = {"force": force**2 * hard * scatter, "energy": energy**2 * hard * scatter}
        preferred.append(job.round(0.1, squares).outcome.best_iteration)
    return preferred


def test_the_error_that_later_students_are_compared_with_does_not_rise_with_them(job):
    # the third differs from the second by chance, but not from the first
    assert given_rounds(job, (1.0, 1.0), (0.9, 0.9), (1.08, 1.08), (0.7, 0.7), (0.65, 0.65)) == [1, 2, 2, 4, 5]


def test_forces_much_worse_are_not_made_up_for_by_energies_and_a_little_worse_are(job):
    # the energies of the last two are eleven times better
    assert given_rounds(job, (1.0, 1.0), (2.5, 0.09), (1.1, 0.09)) == [1, 1, 3]


def test_what_is_given_up_in_one_quantity_does_not_add_up_from_round_to_round(job):
    falling = [(1.15**number, 0.5**number) for number in range(7)]
    assert given_rounds(job, *falling)[-1] < 5


def test_a_student_that_was_refused_is_no_measure_of_later_ones(job):
    assert given_rounds(job, (1.0, 1.0), (0.8, 10.0), (0.8, 10.0), (0.3, 1.1)) == [1, 1, 1, 4]


@pytest.mark.parametrize(
    ("kind", "iteration", "kept"),
    [(GivenRound, 2, False), (GivenRound, 4, True), (FineTuneRound, 0, False), (FineTuneRound, 2, True)],
)
def test_what_is_sure_of_one_comparison_is_not_of_three(job, kind, iteration, kept):
    mine = round_of(job.loop, iteration, job.inputs, kind, FAMILY)
    mine._baseline = {"force": np.full(4, 100.0), RELATIVE_ENERGY: np.ones(4)}
    metrics = ErrorMetrics(frames=16, force_rmse=0.1)
    newest, so_far = (
        Contender(Path("model"), metrics, None, {"force": np.array(squares), RELATIVE_ENERGY: np.ones(4)})
        for squares in ([1.0, 2.0, 3.0, 5.0], [1.0, 1.0, 1.0, 1.0])
    )
    # 3.1 standard errors; Student's quantile of 3 degrees of freedom is 2.4 at 95 %, 3.7 at 98.3 %
    assert mine.replaces(newest, so_far) is kept


@pytest.mark.parametrize(("factor", "preferred"), [(0.2, 1), (0.05, 2)], ids=["worse", "better"])
def test_a_student_of_an_earlier_version_that_left_no_squares_is_measured_anew(job, factor, preferred):
    place = manifest_key(job.round(0.1).digest)
    stored = json.loads(job.loop.store.get(place))
    stored["summary"]["lowest"] = stored["summary"]["metrics"]["best"]
    job.loop.store.put(place, json.dumps(stored).encode())
    assert job.round(factor).outcome.best_iteration == preferred


def new_frames():
    """Return evenly drawn frames with labels and novelty."""
    frames = []
    for number in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.02 + 0.01 * number, seed=number)
        predicted = CalculatorModel(EMT).predict([atoms])[0]
        frames.append(labelled(atoms, predicted.energy, predicted.forces, predicted.virial))
        about = {"sampling": "representative", "purpose": "training", "stratum": "s", "system": "copper"}
        frames[-1].info |= about | {"novelty": 0.1 + number}
    return frames


@pytest.mark.parametrize(
    ("kind", "params", "form", "known"),
    [
        (GivenRound, {}, FEATURE_FORM, False),
        (GivenRound, {"continues": True}, FEATURE_FORM, True),
        (FineTuneRound, {}, FEATURE_FORM, True),
        (FineTuneRound, {}, FEATURE_FORM - 1, False),
    ],
    ids=["scratch", "last round", "fine-tuning", "features of an earlier version"],
)
def test_novelty_tells_an_error_only_if_the_next_model_measures_it_in_the_same_unit(job, kind, params, form, known):
    trained = round_of(job.loop, 2, job.inputs, kind, FAMILY, **params)
    before = {"error_of_novelty": None, "feature_form": form}
    check, explorer = ExplorerCheck(trained.context), CalculatorModel(lambda: Exaggerates(0.1))
    check.measure(explorer, new_frames(), before, trained.keeps_descriptors, trained.measures)
    assert (check.error_of_novelty is not None) == known
    assert trained.measures.metrics["prequential"].frames == 12


def test_for_how_many_frames_the_bound_held_is_told_beside_it(job):
    check = ExplorerCheck(round_of(job.loop, 2, job.inputs, GivenRound, FAMILY).context)
    check.force_error_bound = {"p50": 0.2}
    explorer = CalculatorModel(lambda: Exaggerates(0.1))
    before = {"error_of_novelty": 0.01, "feature_form": FEATURE_FORM}
    check.measure(explorer, new_frames(), before, True, Measures())
    errors = [force_rmse([error]) for error in frame_errors(new_frames(), explorer.predict(new_frames()))]
    below = sum(error <= 0.01 * atoms.info["novelty"] for error, atoms in zip(errors, new_frames(), strict=True))
    assert 0 < below < 12
    assert check.force_error_bound == {"p50": 0.2, "held": below, "frames": 12}
