"""Labels by a teacher: what it cannot do of a frame is a failed label of that frame, and of no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import StageRef
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.models.base import Prediction
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.rounds.holdout import holdout_labels
from pfd_worker.rounds.labels import collect_labels
from pfd_worker.stage_context import StageContext
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.loop import TRAIN, Loop, single_point

LABEL = {"stage": "label", "framesPerPod": 100, "timeoutSeconds": 60}
FRAMES = 5
BAD = 2
"""The number of the frame that a teacher cannot do: its first atom is an Al."""


class Calculates(EMT):
    """A calculator that does something odd with the bad frame."""

    def __init__(self, odd: Callable[[EMT], None]) -> None:
        super().__init__()
        self.odd = odd

    def calculate(self, atoms: Atoms | None = None, *given: object) -> None:
        self.converged = True
        super().calculate(atoms, *given)
        if "Al" in self.atoms.get_chemical_symbols():
            self.odd(self)


class Batched(CalculatorModel):
    """A model that does all frames at once or none."""

    atoms_together = 1000

    def __init__(self, most: int = 100) -> None:
        super().__init__(EMT)
        self.most = most

    def predict(self, frames: Sequence[Atoms]) -> list[Prediction]:
        if len(frames) > self.most or any("Al" in atoms.get_chemical_symbols() for atoms in frames):
            raise KeyError("Al")
        return super().predict(frames)


def raises(calculator: EMT) -> None:
    raise OSError("its program is not there")


def is_not_finite(calculator: EMT) -> None:
    calculator.results["forces"][0, 0] = np.nan


def does_not_converge(calculator: EMT) -> None:
    calculator.converged = False


def crystal(seed: int, *symbols: str) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    atoms.symbols[: len(symbols)] = symbols
    return atoms


@pytest.fixture
def inputs(tmp_path) -> tuple[Loop, dict[str, StageRef]]:
    """Committed stages: prepare with a start that any teacher can do, select with a bad frame among good ones."""
    loop = Loop(tmp_path)
    loop.job = loop.job.model_copy(update={"kind": "DistillJob"})
    frames = [crystal(number, *["Al"] * (number == BAD)) for number in range(FRAMES)]
    prepare = {"stage": "prepare", "systems": [], "training": {"steps": 1}}
    return loop, {
        "prepare": loop.committed(prepare, 1, {stage_files.STARTS: [crystal(9)]}),
        "select": loop.selected(frames, [single_point(number) for number in range(FRAMES)]),
    }


def labelled_by(model: CalculatorModel, inputs: tuple[Loop, dict[str, StageRef]], monkeypatch) -> StageResult:
    monkeypatch.setattr("pfd_worker.teacher.open_model", lambda context, manifest: model)
    loop, refs = inputs
    return loop.run(LABEL, 1, refs, index=0)


@pytest.mark.parametrize(
    ("model", "reason", "words"),
    [
        (CalculatorModel(lambda: Calculates(raises)), "EngineError", "OSError: its program is not there"),
        (CalculatorModel(lambda: Calculates(does_not_converge)), "ScfNotConverged", "did not converge"),
        (CalculatorModel(lambda: Calculates(is_not_finite)), "NotANumber", "not finite"),
        (Batched(), "EngineError", "KeyError: 'Al'"),
    ],
    ids=["raises", "unconverged", "not finite", "batched"],
)
def test_a_bad_frame_is_a_failed_label_and_the_others_are_labelled(inputs, monkeypatch, model, reason, words):
    result = labelled_by(model, inputs, monkeypatch)
    loop = inputs[0]
    assert result.outcome == LabelOutcome(failed=1, reused=0)
    books = {"paid": FRAMES, "reused": 0, "failed": 1, "wasted": 0}
    assert Ledger(loop.store, "uid-1").count().model_dump() == books
    manifest = loop.manifest(result, 0)
    (failed,) = json.loads(loop.store.get(manifest.files["failures.json"].key) or b"")
    assert (failed["task"], failed["reason"]) == (BAD, reason)
    assert failed["message"].startswith(f"frame {BAD} of t{BAD}: ") and words in failed["message"]
    assert [(entry["labels"], entry["sound"]) for entry in manifest.summary["labels"]] == [(FRAMES, FRAMES - 1)]
    loop.store.download(manifest.files["labels.extxyz"].key, loop.folder / "labels.extxyz")
    labels = read_frames(loop.folder / "labels.extxyz")
    assert [atoms.info["trajectory"] for atoms in labels] == [f"t{n}" for n in range(FRAMES) if n != BAD]
    assert len({atoms.info["label_key"] for atoms in labels}) == FRAMES - 1


def test_a_batch_that_is_too_much_is_done_frame_by_frame(inputs, monkeypatch):
    assert labelled_by(Batched(most=1), inputs, monkeypatch).outcome.failed == 1


def test_a_teacher_that_can_no_longer_do_a_start_is_tried_again_in_another_pod(inputs, monkeypatch):
    class Breaks(Batched):
        def predict(self, frames):
            try:
                return super().predict(frames)
            except KeyError:
                self.most = 0  # as of a GPU after a fault: nothing works any more
                raise

    with pytest.raises(KeyError):
        labelled_by(Breaks(), inputs, monkeypatch)


def train_context(inputs: tuple[Loop, dict[str, StageRef]], labels: str) -> StageContext:
    loop, refs = inputs
    ended = StageRef(digest=loop.spec(LABEL, 1, refs).digest, completions=1)
    folder = loop.folder / "train"
    folder.mkdir()
    selects = {"select": refs["select"], "holdout-select": refs["select"]}
    return StageContext(loop.spec(TRAIN, 1, {**selects, labels: ended}), loop.store, folder)


@pytest.mark.parametrize(("allowed", "fails"), [(0.1, True), (0.2, False)])
def test_more_failures_than_allowed_fail_the_job_and_name_its_field(inputs, monkeypatch, allowed, fails):
    labelled_by(Batched(), inputs, monkeypatch)
    context = train_context(inputs, "label")
    if not fails:
        assert len(collect_labels(context, allowed)) == FRAMES - 1
        return
    with pytest.raises(StageError, match=r"1 of 5 .* 0\.1 .*spec\.labeling\.maxFailedFraction of the DistillJob") as no:
        collect_labels(context, allowed)
    assert "FineTuneJob" not in str(no.value) and "KeyError: 'Al'" in str(no.value)


def test_failures_of_a_hold_out_that_another_stage_labelled_count_alike(inputs, monkeypatch):
    labelled_by(Batched(), inputs, monkeypatch)
    with pytest.raises(StageError, match=r"1 of 5 .*maxFailedFraction"):
        holdout_labels(train_context(inputs, "holdout"), [], 0.1)


def test_hold_out_frames_of_a_pod_that_failed_finally_have_no_label_either(inputs, monkeypatch):
    monkeypatch.setattr("pfd_worker.teacher.open_model", lambda context, manifest: Batched())
    loop, refs = inputs
    ended = loop.indexed(LABEL | {"framesPerPod": 1}, 1, refs, 2)
    folder = loop.folder / "train"
    folder.mkdir()
    labels = {"holdout": ended.model_copy(update={"completions": FRAMES}), "holdout-select": refs["select"]}
    with pytest.raises(StageError, match=r"3 of 5 .*maxFailedFraction"):
        holdout_labels(StageContext(loop.spec(TRAIN, 1, labels), loop.store, folder), [], 0.5)


def test_an_attempt_that_could_not_commit_has_not_paid(inputs, monkeypatch):
    loop = inputs[0]
    with monkeypatch.context() as patch:
        patch.setattr(type(loop.store), "upload", lambda *_: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            labelled_by(Batched(), inputs, monkeypatch)
    labelled_by(CalculatorModel(lambda: Calculates(lambda calculator: None)), inputs, monkeypatch)
    assert Ledger(loop.store, "uid-1").count().model_dump() == {"paid": FRAMES, "reused": 0, "failed": 0, "wasted": 0}
