"""Two rounds of a distillation: the teacher labels, the student learns, explores itself, and is exported."""

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import ExitCode, Reason
from pfd_worker.errors import StageError
from pfd_worker.frames import labelled, read_frames, virial_of, write_frames
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.models.deepmd import DeepmdModel
from pfd_worker.models.frozen import FrozenModel
from pfd_worker.store.ledger import Ledger
from tests.unit.worker.stages.distilling import LABEL, STUDENT, TRAINING, manifest_uri, select
from tests.unit.worker.stages.loop import EMT_ENGINE, Loop, explore_params, measured, prepare_params, ref

pytestmark = pytest.mark.image

TRAIN = {"stage": "train", "training": TRAINING, "maxFailedFraction": 0, "student": STUDENT}


@pytest.fixture(scope="module")
def teacher(fine_tuned):
    return fine_tuned.loop, fine_tuned.prepare, fine_tuned.second


def distill_prepare(teacher):
    loop, prepare, last = teacher
    return {
        "stage": "prepare",
        "model": {"uri": last.model_uri},
        "systems": [],
        "starts": manifest_uri(loop, prepare.digest),
        "training": TRAINING,
        "student": STUDENT,
    }


@pytest.fixture(scope="module")
def rounds(tmp_path_factory, teacher):
    """Prepare, the hold-out, one round of the teacher's exploring, one of the student's."""
    loop = Loop(tmp_path_factory.mktemp("student"), uid="uid-student", seed=11)
    prepare = ref(loop.run(distill_prepare(teacher)))
    explore = loop.indexed(explore_params("hold-out"), 0, {"prepare": prepare, "model": prepare}, 2)
    chosen = select(loop, 0, {"prepare": prepare, "explore": explore}, 6, "hold-out")
    holdout = loop.indexed(LABEL, 0, {"select": chosen, "prepare": prepare}, 2)
    frozen = {"holdout": holdout, "holdout-select": chosen}
    trains = []
    for iteration in (1, 2):
        before = {"train": ref(trains[-1])} if trains else {}
        model = before.get("train", prepare)
        explore = loop.indexed(explore_params("training"), iteration, {"prepare": prepare, "model": model}, 2)
        chosen = select(loop, iteration, {"prepare": prepare, "explore": explore, **before}, 8, "training")
        labels = loop.indexed(LABEL, iteration, {"select": chosen, "prepare": prepare}, 2)
        inputs = {"prepare": prepare, "label": labels, "select": chosen, **(before or frozen)}
        trains.append(loop.run(TRAIN, iteration, inputs))
    return loop, prepare, holdout, trains


def test_starts_are_the_teachers(teacher, rounds, tmp_path):
    theirs, ours = (
        path_of(loop, prepare, "starts.extxyz", tmp_path / name)
        for loop, prepare, name in ((teacher[0], teacher[1], "a"), (rounds[0], rounds[1], "b"))
    )
    assert theirs.read_bytes() == ours.read_bytes()
    assert rounds[0].manifest(rounds[1]).summary["elements"] == ["Cu"], "the student knows what it needs"


def path_of(loop, result, name, path, index=None):
    loop.store.download(loop.manifest(result, index).files[name].key, path)
    return path


def test_labels_are_the_teachers_predictions_and_are_counted(teacher, rounds, tmp_path):
    loop, _, holdout, _ = rounds
    model = DeepmdModel(path_of(teacher[0], teacher[2], "best.pt", tmp_path / "best.pt"))
    frames = [
        frame
        for index in range(2)
        for frame in read_frames(path_of(loop, holdout, "labels.extxyz", tmp_path / "labels.extxyz", index))
    ]
    assert len(frames) == 6
    assert {str(frame.info["purpose"]) for frame in frames} == {"hold-out"}
    for frame, predicted in zip(frames, model.predict(frames), strict=True):
        np.testing.assert_allclose(frame.get_forces(), predicted.forces, atol=1e-6)
        np.testing.assert_allclose(virial_of(frame), predicted.virial, atol=1e-6)
    assert Ledger(loop.store, "uid-student").count().model_dump() == {
        "paid": 6 + 8 + 8, "reused": 0, "failed": 0, "wasted": 0,
    }  # fmt: skip


def test_the_student_is_measured_on_the_frozen_hold_out_and_on_its_own_frames(rounds, tmp_path):
    loop, _, _, (first, second) = rounds
    assert measured(first) == {"holdout", "training", "best"}
    assert measured(second) == {"prequential", "farthest", "holdout", "training", "best"}
    assert (first.outcome.training_frames, second.outcome.training_frames) == (8, 16)
    held = [
        path_of(loop, train, "holdout.extxyz", tmp_path / f"{n}").read_bytes()
        for n, train in enumerate((first, second))
    ]
    assert held[0] == held[1]
    tasks = loop.load_json(loop.inputs[str(second.digest)]["select"], "tasks.json")
    samplings = Counter(task["sampling"] for task in tasks)
    # MD of models as small as these comes closer than any contact that would be made
    assert (samplings["representative"], samplings["close-contact"]) == (4, 0)
    assert second.outcome.errors.farthest.frames == 4
    assert "twice the model's cutoff" in second.cautions[0].message
    # the later one, unless it is surely worse on the same frames
    lower = second.outcome.errors.holdout.force_rmse <= first.outcome.errors.best.force_rmse
    assert second.outcome.best_iteration == 2 or (second.outcome.best_iteration == 1 and not lower)
    report = json.loads(loop.store.get(loop.manifest(second).files["report.json"].key) or b"")
    assert report["bestIteration"] == second.outcome.best_iteration


def test_the_last_round_can_be_gone_on_from(rounds):
    loop, _, _, (_, second) = rounds
    inputs = loop.inputs[str(second.digest)]
    again = loop.run({**TRAIN, "continues": True}, 2, inputs)
    assert again.digest != second.digest
    assert again.outcome.training_frames == 16


def test_a_student_that_cannot_be_compressed_is_refused_by_prepare(teacher, tmp_path):
    loop = Loop(tmp_path)
    model = {**STUDENT["model"], "descriptor": {**STUDENT["model"]["descriptor"], "resnet_dt": True}}
    params = {**distill_prepare(teacher), "student": {"model": model, "compress": True}}
    with pytest.raises(StageError) as caught:
        loop.run(params)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.STUDENT_NOT_COMPRESSIBLE)


def test_a_calculator_can_teach(tmp_path):
    loop = Loop(tmp_path)
    systems = prepare_params(tmp_path, tmp_path)["systems"]
    calculator = {"calculator": "ase.calculators.emt:EMT", "parameters": {"asap_cutoff": True}}
    params = {
        "stage": "prepare",
        "calculator": calculator,
        "systems": systems,
        "training": TRAINING,
        "student": STUDENT,
    }
    prepare = ref(loop.run(params))
    # what the model card calls the teacher
    assert loop.manifest(prepare).summary["calculator"] == "ase.calculators.emt:EMT(asap_cutoff=True)"
    explore = loop.indexed(explore_params("training"), 1, {"prepare": prepare, "model": prepare}, 2)
    chosen = select(loop, 1, {"prepare": prepare, "explore": explore}, 4, "training")
    labels = loop.indexed(LABEL, 1, {"select": chosen, "prepare": prepare}, 1)
    assert loop.manifest(labels, 0).summary["labels"][0]["sound"] == 4


def dft_data(folder, *frames):
    write_frames(folder / "dft.extxyz", frames)
    return [{"uri": f"file://{folder / 'dft.extxyz'}"}]


def labelled_by_emt(atoms, scale=1.0):
    found = []
    for seed in range(4):
        moved = atoms.copy()
        moved.rattle(0.1, seed=seed)
        (right,) = CalculatorModel(EMT).predict([moved])
        found.append(labelled(moved, right.energy - 7000.0, scale * right.forces, right.virial))
    return found


@pytest.fixture
def taught_by_emt(tmp_path):
    return {
        "stage": "prepare", "calculator": EMT_ENGINE["ase"], "training": TRAINING, "student": STUDENT,
        "systems": prepare_params(tmp_path, tmp_path)["systems"],
    }  # fmt: skip


def test_dft_frames_of_the_user_are_looked_at_by_prepare_and_leave_no_trace(tmp_path, taught_by_emt):
    loop = Loop(tmp_path)
    frames = labelled_by_emt(bulk("Cu", cubic=True)) + labelled_by_emt(bulk("Al", cubic=True))
    given = {**taught_by_emt, "dftData": dft_data(tmp_path, *frames)}
    without, with_them = loop.run(taught_by_emt), loop.run(given)
    assert without.digest == with_them.digest and without.asked == with_them.asked
    assert loop.manifest(with_them).summary["elements"] == ["Cu"] and with_them.cautions == []


@pytest.mark.parametrize(
    ("element", "scale", "words"),
    [
        ("Al", 1.0, "no frame of spec.acceptance.dftData is of the student's elements alone (Cu)"),
        ("Cu", 1 / 51.42, "spec.acceptance.dftData[0]: its forces are 51 times smaller than the model's"),
    ],
)
def test_dft_frames_that_are_no_measure_are_refused_by_prepare(tmp_path, taught_by_emt, element, scale, words):
    frames = labelled_by_emt(bulk(element, cubic=True), scale)
    with pytest.raises(StageError, match=re.escape(words)) as caught:
        Loop(tmp_path).run({**taught_by_emt, "dftData": dft_data(tmp_path, *frames)})
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)


def test_a_calculator_that_cannot_do_the_elements_is_refused_in_seconds(tmp_path):
    loop = Loop(tmp_path)
    systems = [{"name": "silicon", "structures": str(tmp_path / "si.extxyz"), "perturb": {"count": 2}}]
    (tmp_path / "si.extxyz").write_text(
        '2\nLattice="2.7 2.7 0 0 2.7 2.7 2.7 0 2.7" pbc="T T T"\nSi 0 0 0\nSi 1.35 1.35 1.35\n'
    )
    calculator = {"calculator": "ase.calculators.emt:EMT"}
    params = {
        "stage": "prepare",
        "calculator": calculator,
        "systems": systems,
        "training": TRAINING,
        "student": STUDENT,
    }
    with pytest.raises(StageError, match=r"spec\.teacher") as caught:
        loop.run(params)
    assert caught.value.exit_code is ExitCode.USER_ERROR


ACCEPT = {
    "stage": "accept",
    "student": STUDENT,
    "exploration": {"stages": [{"ensemble": "NVT", "temperaturesKelvin": [100], "timestepFs": 2}]},
    "acceptance": {
        "forceRMSE": 100, "dftForceRatio": 1e-6, "speedup": 0.001, "sizes": [8, 32], "stableMDPicoseconds": 0.05,
        "rdfOverlap": 0.01,
    },
}  # fmt: skip


def test_the_student_is_judged_and_exported_whatever_the_verdict(teacher, rounds, tmp_path):
    loop, prepare, _, (_, last) = rounds
    their_loop, _, their_train = teacher
    params = {**ACCEPT, "dftHoldout": manifest_uri(their_loop, their_train.digest)}
    result = loop.run(params, 2, {"prepare": prepare, "train": ref(last)})
    found = result.outcome
    met = {check.name: check.met for check in found.checks}
    assert met["ForceRmseAgainstTeacher"]
    assert met["SpeedUpAt8Atoms"]
    assert not met["ForceRmseAgainstDftOverTeacher"], "1e-6 of the teacher's own error cannot be reached"
    assert [(each.atoms_asked, each.atoms) for each in found.speed_ups] == [(8, 8), (32, 32)]
    assert measured(result) == {"holdout", "dft", "teacher_dft"}
    assert result.model_uri is not None
    assert result.model_uri.endswith("compressed.pth")
    # the teacher's own error is what its own job said of it
    their_own = their_train.outcome.errors.best
    assert found.errors.teacher_dft.force_rmse == pytest.approx(their_own.force_rmse, rel=1e-4)
    assert len(result.to_termination_message()) < 3584
    exported = FrozenModel(path_of(loop, result, "compressed.pth", tmp_path / "compressed.pth"))
    trained = DeepmdModel(path_of(loop, last, "best.pt", tmp_path / "best.pt"))
    frames = read_frames(path_of(loop, last, "holdout.extxyz", tmp_path / "holdout.extxyz"))
    for one, other in zip(exported.predict(frames), trained.predict(frames), strict=True):
        np.testing.assert_allclose(one.forces, other.forces, atol=1e-5)
    for name in ("compressed.pth", "structure.extxyz", "in.lammps", "run_ase.py", "card.json", "card.md"):
        path_of(loop, result, name, tmp_path / name)
    run = subprocess.run([sys.executable, str(tmp_path / "run_ase.py")], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    card = json.loads((tmp_path / "card.json").read_text())
    digest = hashlib.sha256((tmp_path / "compressed.pth").read_bytes()).hexdigest()
    assert card["files"]["compressed.pth"]["sha256"] == digest
    assert card["accepted"] is False
    assert card["training"]["frames"] == {"copper": 16}
    assert "pair_coeff * * Cu" in (tmp_path / "in.lammps").read_text()
