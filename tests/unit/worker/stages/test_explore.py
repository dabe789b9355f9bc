"""Explore with a calculator in the model's place: where MD begins, what it is run at, and how it ends."""

import json
import re
import threading

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import CautionReason, ExitCode, Reason
from pfd_worker import stage_files
from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.store.manifests import manifest_key, read_manifest
from tests.unit.worker.stages.explored_copper import EVEN, HELD_OUT, MODEL
from tests.unit.worker.stages.loop import EMT_ENGINE, EXPLORATION, Loop, explore_params, ref


def test_iterations_go_on_through_the_starts(explored):
    loop, inputs = explored
    taken = []
    for iteration in (11, 12, 13):
        explore = loop.indexed(explore_params("training"), iteration, dict.fromkeys(MODEL, inputs["prepare"]), 2)
        found = [loop.manifest(explore, index).summary["trajectories"] for index in range(2)]
        taken.append({record["start"] for records in found for record in records})
    # two trajectories each: the fourth start is kept for the hold-out
    assert [len(starts) for starts in taken] == [2, 2, 2]
    assert set.union(*taken) == {0, 1, 2} and taken[0] != taken[1]


def test_no_training_frame_descends_from_a_structure_of_the_hold_out(tmp_path):
    loop = Loop(tmp_path)
    starts = []
    for structure in range(5):
        for variation in range(2):
            starts.append(bulk("Cu", cubic=True, a=3.5 + 0.05 * structure))
            starts[-1].rattle(0.05, seed=len(starts))
            info = {"system": "copper", "start": len(starts) - 1, "frame": structure, "variation": variation}
            starts[-1].info = {**info, "slab": False}
    files = {stage_files.STARTS: starts, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"])}
    prepare = loop.committed(EVEN, 0, files, {"elements": ["Cu"]})
    begun = {}
    for iteration, purpose in enumerate(("hold-out", "training", "training", "training", "training")):
        params = {**explore_params(purpose), "apart": "Structures"}
        explore = loop.indexed(params, iteration, dict.fromkeys(MODEL, prepare), 2)
        found = [record for index in range(2) for record in loop.manifest(explore, index).summary["trajectories"]]
        begun.setdefault(purpose, set()).update(starts[record["start"]].info["frame"] for record in found)
    asked = {**HELD_OUT, "apart": "Structures", "aimd": {"trajectories": 9, "steps": 1}}
    selected = ref(loop.run(asked, 0, {"prepare": prepare, "explore": explore}))
    loop.store.download(loop.manifest(selected).files[stage_files.FRAMES].key, tmp_path / "frames.extxyz")
    aimd = [atoms for atoms in read_frames(tmp_path / "frames.extxyz") if "aimd" in atoms.info["trajectory"]]
    begun["training"] |= {starts[atoms.info["start"]].info["frame"] for atoms in aimd}
    assert begun == {"hold-out": {2}, "training": {0, 1, 3, 4}} and len(aimd) == 8


class Explodes(EMT):
    """EMT whose energy is not a number from the start."""

    def calculate(self, *given, **named):
        super().calculate(*given, **named)
        self.results["energy"] = float("nan")


def test_md_that_gives_no_candidate_is_told_to_the_user(explored, monkeypatch):
    loop, inputs = explored
    model = {"prepare": inputs["prepare"], "model": inputs["prepare"]}
    monkeypatch.setattr("pfd_worker.stages.explore.open_model", lambda *_: CalculatorModel(Explodes))
    empty = loop.indexed(explore_params("training"), 3, model, 2)
    told = [loop.manifest(empty, index).summary["trajectories"] for index in range(2)]
    assert [(each["frames"], each["asked"]) for mine in told for each in mine] == [(0, 12)] * 2
    with pytest.raises(StageError) as caught:
        loop.run(EVEN, 3, {**inputs, "explore": empty})
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.NO_CANDIDATES)
    words = (
        r"no candidate frame in 2 trajectories \(i003-training-copper-s0-300K-r0 at step 0: .*Lower the temperatures"
    )
    assert re.search(words, caught.value.message)


def test_what_keeps_its_cell_is_explored_once_for_all_pressures(explored):
    loop, inputs = explored
    stages = [{"temperaturesKelvin": [300, 600], "pressuresBar": [1, 20000], "steps": 10, "sampleEvery": 5}]
    params = explore_params("training") | {"exploration": {"stages": stages}, "withoutPressure": ["copper"]}
    told = loop.manifest(loop.run(params, 1, dict.fromkeys(MODEL, inputs["prepare"]), 0), 0).summary["trajectories"]
    assert [(each["name"], each["stratum"]) for each in told] == [
        ("i001-training-copper-s0-300K-r0", "copper/300K"),
        ("i001-training-copper-s0-600K-r0", "copper/600K"),
    ]


def test_conditions_that_hardly_differ_are_told_apart(explored):
    loop, inputs = explored
    stages = [{"temperaturesKelvin": [300], "pressuresBar": [1234567, 1234568], "steps": 10, "sampleEvery": 5}]
    params = explore_params("training") | {"exploration": {"stages": stages}}
    told = loop.manifest(loop.run(params, 1, dict.fromkeys(MODEL, inputs["prepare"]), 0), 0).summary["trajectories"]
    assert [(each["name"], each["stratum"]) for each in told] == [
        (f"i001-training-copper-s0-300K-{bar}bar-r0", f"copper/300K/{bar}bar") for bar in (1234567, 1234568)
    ]


@pytest.mark.parametrize(("timestep_fs", "told"), [(0.5, []), (2, [CautionReason.LONG_TIMESTEP])])
def test_each_system_is_explored_at_its_own_conditions(tmp_path, timestep_fs, told):
    loop, starts = Loop(tmp_path), [bulk("Cu", cubic=True), bulk("CuH", "rocksalt", a=4.2, cubic=True)]
    for number, (atoms, system) in enumerate(zip(starts, ("copper", "hydride"), strict=True)):
        atoms.info = {"system": system, "start": number, "frame": 0, "variation": 0, "slab": False}
        atoms.info["reference_cell"] = atoms.cell.array
    files = {stage_files.STARTS: starts, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"])}
    prepare = loop.committed(EVEN, 0, files, {"elements": ["Cu", "H"]})
    common = {"ensemble": "NVT", "steps": 4, "sampleEvery": 2}
    stages = [
        {**common, "systems": ["hydride"], "temperaturesKelvin": [100], "timestepFs": timestep_fs},
        {**common, "systems": ["copper"], "temperaturesKelvin": [300, 600], "timestepFs": 4},
    ]
    params = explore_params("training") | {"systems": ["copper", "hydride"], "exploration": {"stages": stages}}
    result = loop.run(params, 1, dict.fromkeys(MODEL, prepare), 0)
    assert [caution.reason for caution in result.cautions] == told, "copper has no hydrogen"
    found = loop.manifest(result, 0).summary["trajectories"]
    assert [(each["name"], each["stratum"], each["start"]) for each in found] == [
        ("i001-training-copper-s1-300K-r0", "copper/300K", 0),
        ("i001-training-copper-s1-600K-r0", "copper/600K", 0),
        ("i001-training-hydride-s0-100K-r0", "hydride/100K", 1),
    ]


class Several(CalculatorModel):
    """A calculator that two trajectories ask together."""

    atoms_together = 64

    def predict_moving(self, frames):
        return self.predict(frames)


@pytest.mark.parametrize(("iteration", "model_kind"), [(4, CalculatorModel), (8, Several)], ids=["alone", "together"])
def test_explore_that_is_stopped_commits_nothing_and_goes_on_from_its_checkpoints(
    explored, monkeypatch, every_check_told, iteration, model_kind
):
    loop, inputs = explored
    model = {"prepare": inputs["prepare"], "model": inputs["prepare"]}
    steps = Steps()
    monkeypatch.setattr("pfd_worker.stages.explore.open_model", lambda *_: model_kind(steps.calculator))
    params = explore_params("training") | {"exploration": {**EXPLORATION, "pods": 1}}
    stopping = threading.Event()
    told = []

    def stop_midway(percent: float, message: str) -> None:
        told.append(percent)
        if steps.done > 30:
            stopping.set()

    with pytest.raises(StageError, match=r"stopped; MD goes on from the \d+ steps that are stored") as caught:
        loop.run(params, iteration, model, 0, stopping, progress=stop_midway)
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    digest = loop.spec(params, iteration, model).digest
    assert read_manifest(loop.store, digest, 0) is None
    before, steps.done = steps.done, 0
    resumed = loop.run(params, iteration, model, 0)
    kept = [key for key in loop.store.list("stages/") if "/checkpoints/index-00000/part-" in key]
    assert len(kept) == 1
    # what was done is not done again: at most the 20 steps between checks, and the start, of each trajectory
    assert before > 30 and before + steps.done <= 2 * 60 + 2 * 22
    rows = json.loads(loop.store.get(loop.manifest(resumed, 0).files[stage_files.CANDIDATE_ROWS].key) or b"")
    assert [row["step"] for row in rows] == [*range(5, 65, 5)] * 2
    explore = ref(resumed).model_copy(update={"completions": 1})
    loop.run(EVEN, iteration, {**inputs, "explore": explore})
    assert [key for key in loop.store.list("stages/") if "/checkpoints/" in key] == []


class Steps:
    """Counts the frames that are computed."""

    def __init__(self):
        self.done = 0

    def calculator(self):
        steps = self

        class Counting(EMT):
            def calculate(self, *given, **named):
                super().calculate(*given, **named)
                steps.done += 1

        return Counting()


class FallsLate(EMT):
    """EMT whose energy leaves its forces behind in the hotter trajectory, after a while."""

    steps = 0

    def calculate(self, *given, **named):
        super().calculate(*given, **named)
        self.steps += 1
        if self.steps > 45:
            self.results["energy"] -= 20.0


def test_a_trajectory_whose_energy_explodes_ends_there_and_counts_as_exploded(explored, monkeypatch):
    loop, inputs = explored
    model = {"prepare": inputs["prepare"], "model": inputs["prepare"]}
    sound = loop.manifest(inputs["explore"], 1).result.outcome
    monkeypatch.setattr("pfd_worker.stages.explore.open_model", lambda *_: CalculatorModel(FallsLate))
    result = loop.run(explore_params("training"), 2, model, index=1)
    assert (result.outcome.exploded, sound.exploded) == (1, 0)
    assert 0 < result.outcome.candidates < sound.candidates
    record = loop.manifest(result, 1).summary["trajectories"][0]
    assert 40 <= record["exploded_at_step"] < 60
    assert re.search(r"-(4\.9|5\.0) eV per atom from that of its start", record["reason"])
    assert record["frames"] == result.outcome.candidates
    rows = json.loads(loop.store.get(loop.manifest(result, 1).files["candidates.json"].key) or b"")
    assert [row["brink"] for row in rows] == [False] * (len(rows) - 1) + [True]


@pytest.mark.parametrize(("falls", "first"), [(False, 35), (True, 5)], ids=["sound", "exploded"])
def test_candidates_are_of_md_that_has_its_temperature_unless_it_explodes(explored, monkeypatch, falls, first):
    loop, inputs = explored
    if falls:
        monkeypatch.setattr("pfd_worker.stages.explore.open_model", lambda *_: CalculatorModel(FallsLate))
    stage = {**EXPLORATION["stages"][0], "ensemble": "NVT"}
    params = {**explore_params("training"), "exploration": {"stages": [stage], "pods": 2}}
    result = loop.run(params, 7 + falls, {"prepare": inputs["prepare"], "model": inputs["prepare"]}, index=0)
    shard = loop.manifest(result, 0)
    rows = json.loads(loop.store.get(shard.files[stage_files.CANDIDATE_ROWS].key) or b"")
    # the thermostat takes 75 steps, and half of this MD is 30
    assert min(row["step"] for row in rows) == first and bool(result.outcome.exploded) is falls
    (record,) = shard.summary["trajectories"]
    assert record["frames"] == len(rows)
    assert 100 < record["mean_kelvin"] < 500 and record["mean_bar"] is None


def test_what_an_explore_pod_of_an_earlier_version_ran_is_not_known(explored):
    loop, inputs = explored
    explore = loop.indexed(explore_params("training"), 5, dict.fromkeys(MODEL, inputs["prepare"]), 2)
    key = manifest_key(explore.digest, 1)
    manifest = json.loads(loop.store.get(key) or b"")
    manifest["result"]["counts"] = manifest["result"].pop("outcome")
    (loop.folder / "store" / key).write_text(json.dumps(manifest))
    found = loop.run(EVEN, 5, {**inputs, "explore": explore}).outcome.exploration
    assert (found.candidates, found.trajectories, found.exploded) == (24, None, None)
