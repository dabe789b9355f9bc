"""Accept with calculators in place of teacher and student: no training and no freezing, so no torch."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import SCFError
from ase.calculators.emt import EMT
from ase.io import read

from pfd_operator.contract.outcome import ExplorationCounts
from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.families import DEEPMD
from pfd_worker.frames import labelled, write_frames
from pfd_worker.models.calculator import CalculatorModel, PlacedCalculator
from pfd_worker.report.costs import Cost, LabelCost
from pfd_worker.report.history import History, IterationRecord
from pfd_worker.stages import accept
from pfd_worker.store.manifests import read_manifest
from tests.unit.worker.stages.loop import EMT_ENGINE, Loop, measured

ACCEPT = {
    "stage": "accept",
    "student": {"preset": "small", "compress": False},
    "exploration": {"stages": [{"temperaturesKelvin": [300], "timestepFs": 2}]},
    "acceptance": {"forceRMSE": 1, "sizes": [4], "stableMDPicoseconds": 0.02},
}
CALCULATOR = {"calculator": "EMT"}


@pytest.fixture(autouse=True)
def calculators(monkeypatch):
    """Nothing is frozen, and the student is its teacher."""

    def frozen(checkpoint: Path, folder: Path, compressed: bool) -> dict[str, Path]:
        (folder / "frozen.pth").write_bytes(b"frozen")
        return {"frozen.pth": folder / "frozen.pth"}

    monkeypatch.setattr(accept, "_frozen", frozen)
    monkeypatch.setattr(accept, "FrozenModel", lambda path: CalculatorModel(EMT))
    monkeypatch.setattr("pfd_worker.acceptance.dynamics.MD_ATOMS", 4)


def crystal(element: str, system: str, number: int = 0) -> Atoms:
    atoms = bulk(element, cubic=True)
    atoms.rattle(0.05, seed=number)
    atoms.info = {"system": system, "stratum": f"{system}/300K/1bar", "frame": 0, "slab": False}
    return atoms


def label(atoms: Atoms) -> Atoms:
    predicted = CalculatorModel(EMT).predict([atoms])[0]
    return labelled(atoms, predicted.energy, predicted.forces, predicted.virial)


def train_stage(loop: Loop, steps: int, frames: list[Atoms], more: dict[str, Any] | None = None) -> StageRef:
    params = {"stage": "train", "training": {"steps": steps}, "maxFailedFraction": 0}
    files = {
        DEEPMD.best_file: b"checkpoint",
        "holdout.extxyz": frames,
        "dataset.extxyz": frames,
        "report.html": b"page",
        "report.json": b"{}",
        stage_files.HISTORY: json.dumps(History().to_json()).encode(),
        **(more or {}),
    }
    return loop.committed(params, 0, files, {"best_iteration": 1})


def judged(
    loop: Loop,
    structures: list[Atoms],
    params: dict[str, Any] = ACCEPT,
    told: dict[str, Any] = CALCULATOR,
    trained: dict[str, Any] | None = None,
    **run: Any,
):
    """Judge a student whose job has these structures, and whose prepare stage told this of the teacher."""
    systems = [str(atoms.info["system"]) for atoms in structures]
    elements = sorted({symbol for atoms in structures for symbol in atoms.get_chemical_symbols()})
    prepare = loop.committed(
        {"stage": "prepare", "training": {"steps": 1}, "calculator": EMT_ENGINE["ase"]},
        0,
        {stage_files.STRUCTURES: structures, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"]).encode()},
        {"elements": elements, "systems": systems, "inputs_sha256": {}, **told},
    )
    holdout = [label(atoms) for atoms in structures]
    return loop.run(params, 2, {"prepare": prepare, "train": train_stage(loop, 1, holdout, trained)}, **run)


def test_a_stop_after_the_last_measurement_commits_nothing(tmp_path, monkeypatch):
    loop, stopping, export = Loop(tmp_path), threading.Event(), accept.export_model

    def stopped_in_it(*given):
        stopping.set()
        return export(*given)

    monkeypatch.setattr(accept, "export_model", stopped_in_it)
    with pytest.raises(StageError) as caught:
        judged(loop, [crystal("Cu", "copper")], stopping=stopping)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    digests = [digest for digest in loop.inputs if read_manifest(loop.store, digest) is not None]
    assert digests == []


def with_dft(loop: Loop, frames: list[Atoms]) -> dict[str, Any]:
    """Return parameters that name a train stage with these frames as the teacher's DFT hold-out."""
    digest = train_stage(loop, 2, frames).digest
    asked = {**ACCEPT["acceptance"], "dftForceRatio": 1.5}
    return {**ACCEPT, "acceptance": asked, "dftHoldout": loop.store.uri(f"stages/{digest}/manifest.json")}


def dft_label(element: str, system: str, number: int) -> Atoms:
    frame = label(crystal(element, system, number))
    frame.calc.results["forces"] += 0.1
    return frame


def test_of_the_dft_hold_out_the_jobs_own_materials_count(tmp_path):
    loop = Loop(tmp_path)
    foreign = [dft_label("Cu", "other", 4), dft_label("Pt", "platinum", 5), dft_label("Al", "copper", 6)]
    params = with_dft(loop, [*foreign, dft_label("Cu", "copper", 7), dft_label("Cu", "copper", 8)])
    result = judged(loop, [crystal("Cu", "copper")], params)
    assert result.outcome.errors.dft.frames == result.outcome.errors.teacher_dft.frames == 2
    assert {check.name: check.met for check in result.outcome.checks}["ForceRmseAgainstDftOverTeacher"]


@pytest.mark.parametrize(
    ("element", "system", "words"),
    [
        ("Pt", "platinum", "no frame of the teacher's DFT hold-out is of this job's systems (copper)"),
        ("Pt", "copper", "no frame of the teacher's DFT hold-out is of the student's elements alone (Cu)"),
    ],
)
def test_a_dft_hold_out_of_other_materials_is_told_in_words(tmp_path, element, system, words):
    loop = Loop(tmp_path)
    result = judged(loop, [crystal("Cu", "copper")], with_dft(loop, [dft_label(element, system, 4)]))
    check = {each.name: each for each in result.outcome.checks}["ForceRmseAgainstDftOverTeacher"]
    assert not check.met and words in check.message
    assert measured(result) == {"holdout"}


OFFSET_EV = 1000.0
"""Of each atom: the zero of another code."""


def by_dft_data(loop: Loop, frames: list[Atoms], ratio: float | None = 1.5) -> dict[str, Any]:
    """Return parameters that name these frames as the user's own."""
    for atoms in frames:
        atoms.calc.results["energy"] += OFFSET_EV * len(atoms)
    path = loop.folder / "dft.extxyz"
    write_frames(path, frames)
    asked = {**ACCEPT["acceptance"], "dftForceRatio": ratio, "dftData": [{"uri": f"file://{path}"}]}
    return {**ACCEPT, "acceptance": asked}


def test_teacher_and_student_are_measured_on_dft_frames_of_the_user_whatever_their_zero(tmp_path):
    loop = Loop(tmp_path)
    frames = [dft_label("Cu", "anything", number) for number in range(4)]
    for number, atoms in enumerate(frames):
        atoms.calc.results["energy"] += 0.04 * (-1) ** number
    params = by_dft_data(loop, [*frames, dft_label("Pt", "copper", 9)])
    result = judged(loop, [crystal("Cu", "copper")], params)
    of_student, of_teacher = result.outcome.errors.dft, result.outcome.errors.teacher_dft
    assert of_student == of_teacher and of_student.frames == 4
    assert of_student.force_rmse == pytest.approx(0.1)
    # a degree of freedom is the shift's
    assert of_student.energy_rmse_per_atom == pytest.approx(0.01 * np.sqrt(4 / 3))
    assert of_student.virial_rmse_per_atom == pytest.approx(0, abs=1e-6)
    assert {check.name: check.met for check in result.outcome.checks}["ForceRmseAgainstDftOverTeacher"]
    (left_out,) = result.cautions
    assert left_out.reason == "DftFramesLeftOut"
    assert "1 of 5 frames of spec.acceptance.dftData are left out" in left_out.message


def test_another_file_at_the_same_address_is_another_verdict(tmp_path):
    loop = Loop(tmp_path)
    params = by_dft_data(loop, [dft_label("Cu", "a", number) for number in range(2)])
    first = judged(loop, [crystal("Cu", "copper")], params)
    again = loop.run(params, 2, loop.inputs[first.asked])
    by_dft_data(loop, [dft_label("Cu", "a", number) for number in range(3)])
    other = loop.run(params, 2, loop.inputs[first.asked])
    assert first.digest == again.digest != other.digest and first.asked == other.asked
    assert other.outcome.errors.dft.frames == 3


@pytest.mark.parametrize("ratio", [1.5, None])
def test_dft_frames_of_the_user_with_other_elements_only_are_told_in_words(tmp_path, ratio):
    loop = Loop(tmp_path)
    result = judged(loop, [crystal("Cu", "copper")], by_dft_data(loop, [dft_label("Pt", "copper", 4)], ratio))
    words = "no frame of spec.acceptance.dftData is of the student's elements alone (Cu)"
    (check,) = [each for each in result.outcome.checks if "Dft" in each.name] or [None]
    assert check is None or (not check.met and words in check.message)
    assert "1 of 1 frames" in result.cautions[0].message
    assert measured(result) == {"holdout"}


def test_dft_frames_in_another_unit_are_no_measure(tmp_path):
    loop, frames = Loop(tmp_path), [dft_label("Cu", "copper", number) for number in range(4)]
    for atoms in frames:
        atoms.calc.results["forces"] = (atoms.calc.results["forces"] - 0.1) / 51.42
    with pytest.raises(StageError, match=r"spec\.acceptance\.dftData\[0\]: its forces are 51 times smaller") as caught:
        judged(loop, [crystal("Cu", "copper")], by_dft_data(loop, frames))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)


def test_dft_frames_that_would_take_days_are_refused_before_one_is_predicted(tmp_path, monkeypatch):
    monkeypatch.setattr("pfd_worker.preparation.dft_data.MOST_MEASURED_ON", 2)
    loop, copper = Loop(tmp_path), [crystal("Cu", "copper")]
    frames = [dft_label("Cu", "copper", number) for number in range(2)]
    # those of other elements are not predicted
    taken = judged(loop, copper, by_dft_data(loop, [*frames, dft_label("Pt", "copper", 2)]))
    assert taken.outcome.errors.dft.frames == 2
    monkeypatch.setattr(accept, "check_data", lambda *given: pytest.fail("frames were predicted"))
    words = r"spec\.acceptance\.dftData has 3 frames of the student's elements: give at most 2, such as an even sample"
    with pytest.raises(StageError, match=words) as caught:
        loop.run(
            by_dft_data(loop, [dft_label("Cu", "copper", number) for number in range(3)]), 2, loop.inputs[taken.asked]
        )
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)


def test_a_dft_frame_that_the_teacher_does_not_converge_for_is_named_and_not_tried_again(tmp_path, monkeypatch):
    loop, frames = Loop(tmp_path), [dft_label("Cu", "copper", number) for number in range(4)]
    evaluated = PlacedCalculator.evaluated

    def of_all_but_one(self, atoms, properties):
        if np.allclose(atoms.positions, frames[2].positions):
            raise SCFError("no convergence in 250 cycles")
        return evaluated(self, atoms, properties)

    monkeypatch.setattr(PlacedCalculator, "evaluated", of_all_but_one)
    words = r"dftData\[0\]: the model cannot predict its frame of Cu4 .*: SCFError: no convergence in 250 cycles"
    with pytest.raises(StageError, match=words) as caught:
        judged(loop, [crystal("Cu", "copper")], by_dft_data(loop, frames))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.DATA_INVALID)


def test_a_long_message_keeps_its_end_and_says_where_it_was_cut(tmp_path):
    loop = Loop(tmp_path)
    starts = [crystal("Cu", f"a-system-of-copper-with-a-name-{number}") for number in range(4)]
    result = judged(loop, starts, with_dft(loop, [dft_label("Pt", "platinum", 4)]))
    message = {check.name: check for check in result.outcome.checks}["ForceRmseAgainstDftOverTeacher"].message
    assert 190 < len(message) <= 200 and " […] " in message
    assert message.endswith("(asked for: 1.5)")
    report = json.loads(loop.store.get(loop.manifest(result).files["acceptance.json"].key) or b"")
    assert any(starts[-1].info["system"] in check["message"] for check in report["checks"]), "it is whole there"


@pytest.mark.parametrize(("slab", "ensemble"), [(False, "npt"), (True, "nvt")])
def test_lammps_runs_a_slab_at_constant_volume_and_repeats_no_vacuum(tmp_path, slab, ensemble):
    loop, start = Loop(tmp_path), crystal("Cu", "copper")
    start.info["slab"] = slab
    result = judged(loop, [start])
    text = (loop.store.get(loop.manifest(result).files["in.lammps"].key) or b"").decode()
    assert f"fix integrate all {ensemble} temp" in text
    assert ("pressure" in text) is not slab
    assert ("replicate ${repeat} ${repeat} 1\n" in text) is slab


def test_a_system_is_run_and_exported_at_the_conditions_that_it_was_explored_at(tmp_path):
    loop, cluster = Loop(tmp_path), crystal("Ag", "cluster")
    cluster.pbc = False
    stages = [
        {"systems": ["cluster"], "temperaturesKelvin": [900], "timestepFs": 1},
        {"systems": ["copper"], "ensemble": "NVT", "temperaturesKelvin": [400], "timestepFs": 2},
        {"temperaturesKelvin": [300], "timestepFs": 2},
    ]
    result = judged(loop, [cluster, crystal("Cu", "copper")], ACCEPT | {"exploration": {"stages": stages}})
    files = loop.manifest(result).files
    card = json.loads(loop.store.get(files["card.json"].key) or b"")
    hottest = {system: max(run["temperatureKelvin"] for run in runs) for system, runs in card["stability"].items()}
    assert hottest == {"cluster": 900, "copper": 400}
    assert card["conditions"]["temperatureKelvin"] == 400, "the crystal is the sample"
    assert "variable temperature index 400  # K" in (loop.store.get(files["in.lammps"].key) or b"").decode()


def test_what_is_exported_and_run_is_the_first_structure_as_it_was_given(tmp_path):
    loop, given = Loop(tmp_path), [crystal("Cu", "copper", 1), crystal("Cu", "copper", 2)]
    files = loop.manifest(judged(loop, given)).files
    (tmp_path / "structure.extxyz").write_bytes(loop.store.get(files["structure.extxyz"].key) or b"")
    exported = read(tmp_path / "structure.extxyz")
    np.testing.assert_allclose(exported.cell.array, given[0].cell.array)
    np.testing.assert_allclose(exported.get_scaled_positions(), given[0].get_scaled_positions(), atol=1e-8)


def test_report_and_labels_of_the_last_round_lie_beside_the_exported_model(tmp_path):
    loop = Loop(tmp_path)
    result = judged(loop, [crystal("Cu", "copper")])
    files = loop.manifest(result).files
    folder = files["frozen.pth"].key.removesuffix("frozen.pth")
    assert result.model_uri == loop.store.uri(f"{folder}frozen.pth")
    assert loop.store.get(f"{folder}report.html") == b"page"
    assert b"copper" in (loop.store.get(f"{folder}dataset.extxyz") or b"")
    assert b"copper" in (loop.store.get(f"{folder}holdout.extxyz") or b"")
    assert {f"{folder}{name}" for name in ("in.lammps", "data.lammps", "card.md")} <= set(loop.store.list(folder))


def test_the_card_knows_the_md_of_every_system(tmp_path):
    loop = Loop(tmp_path)
    starts = [crystal("Cu", "copper", number) for number in range(4)] + [crystal("Ag", "silver", 5)]
    result = judged(loop, starts)
    files = loop.manifest(result).files
    card = json.loads(loop.store.get(files["card.json"].key) or b"")
    assert set(card["stability"]) == set(card["drift"]) == {"copper", "silver"}
    assert card["speedSystem"] == "copper"
    stable = {check.name: check for check in result.outcome.checks}["StablePicoseconds"]
    assert "of 2 systems" in stable.message


@pytest.mark.parametrize(
    ("told", "params", "teacher", "reference"),
    [
        (CALCULATOR, {}, "EMT", None),
        ({"source": "DPA-3.1-3M, branch Omat24"}, {}, "DPA-3.1-3M, branch Omat24", None),
        (
            {"source": "s3://pfd/best.pt"},
            {"teacher": "copper", "reference": "GFN1-xTB"},
            "FineTuneJob copper (s3://pfd/best.pt)",
            "GFN1-xTB",
        ),
    ],
    ids=["calculator", "catalogue", "job"],
)
def test_the_card_names_teacher_and_reference(tmp_path, told, params, teacher, reference):
    loop = Loop(tmp_path)
    result = judged(loop, [crystal("Cu", "copper")], ACCEPT | params, told)
    training = json.loads(loop.store.get(loop.manifest(result).files["card.json"].key) or b"")["training"]
    assert training["teacher"].startswith(teacher) and training["reference"] == reference


def test_the_card_is_of_the_round_that_the_exported_student_is_from(tmp_path):
    loop = Loop(tmp_path)
    cost = Cost({}, LabelCost(computed=0, reused=0, failed=0, computing_seconds=0.0))
    rounds = tuple(
        IterationRecord(number, labels, 3, 1, {}, None, ExplorationCounts(), cost)
        for number, labels in ((1, 2), (2, 3))
    )
    history = json.dumps(History(iterations=rounds).to_json()).encode()
    starts = [crystal("Cu", "copper", 1), crystal("Ag", "silver", 2), crystal("Ag", "silver", 3)]
    result = judged(loop, starts, trained={stage_files.HISTORY: history})
    training = json.loads(loop.store.get(loop.manifest(result).files["card.json"].key) or b"")["training"]
    assert (training["frames"], training["rounds"]) == ({"copper": 1, "silver": 1}, 1)


def test_the_card_tells_the_conditions_of_the_students_own_frames(tmp_path):
    loop, structures = Loop(tmp_path), [crystal("Cu", "copper"), crystal("Cu", "surface", 1)]
    structures[1].info["slab"] = True
    strata = ("copper/400K/-2000bar", "copper/900K/1e+04bar", "surface/1200K")
    frames = [label(crystal("Cu", stratum.split("/")[0])) for stratum in strata]
    # given data and AIMD are of no MD that was measured
    frames += [frame.copy() for frame in frames[:2]] + [label(crystal("Cu", "copper"))]
    kelvin = (250.0, 610.0, 790.0, 350.0, 650.0)
    for atoms, stratum in zip(frames, (*strata, *strata[:2], "data"), strict=True):
        atoms.info["stratum"] = stratum
    for atoms, found in zip(frames, kelvin, strict=False):
        atoms.info |= {"measured_kelvin": found, "sampling": "representative"}
    for sampling, found in (("brink", 12000.0), ("low-energy", 10.0)):
        frames.append(frames[0].copy())
        frames[-1].info |= {"measured_kelvin": found, "sampling": sampling}
    result = judged(loop, structures, trained={"dataset.extxyz": frames})
    training = json.loads(loop.store.get(loop.manifest(result).files["card.json"].key) or b"")["training"]
    assert training["temperaturesKelvin"] == {"low": 400, "high": 1200}
    assert training["measuredKelvin"] == {"low": 300, "high": 790}, "means of what was drawn evenly"
    assert training["pressuresBar"] == {"low": -2000, "high": 10000}, "a slab has none"
    assert training["systems"] == {
        "copper": {"temperaturesKelvin": {"low": 400, "high": 900}, "pressuresBar": {"low": -2000, "high": 10000}},
        "surface": {"temperaturesKelvin": {"low": 1200, "high": 1200}, "pressuresBar": None},
    }
