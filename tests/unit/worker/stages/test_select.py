"""Explore and select with a calculator in the model's place: no training, so no torch."""

import io
import json
import re
import threading
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.result import CautionReason, ExitCode, Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker import stage_files
from pfd_worker.cells import reference_cell
from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.models.base import FEATURE_FORM
from pfd_worker.models.calculator import CalculatorModel
from pfd_worker.selection.contacts import close_contacts
from pfd_worker.selection.feature_map import FeatureMap, Role
from pfd_worker.stages import select as select_stage
from pfd_worker.store.manifests import manifest_key, read_manifest
from tests.unit.worker.stages.loop import EMT_ENGINE, EXPLORATION, TRAIN, Loop, explore_params, ref

GIVEN_CELL = 3.7 * np.eye(3) + 0.01 * np.arange(9).reshape(3, 3)
EVEN = {"stage": "select", "purpose": "training", "frames": 8, "representativeFraction": 0.25}

MODEL = ("prepare", "model")


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """Copper by EMT at two temperatures."""
    loop = Loop(tmp_path_factory.mktemp("explored"))
    starts = []
    for number in range(4):
        starts.append(bulk("Cu", cubic=True))
        starts[-1].rattle(0.05, seed=number)
        starts[-1].info = {"system": "copper", "start": number, "frame": 0, "variation": number, "slab": False}
        starts[-1].info["reference_cell"] = GIVEN_CELL
    files = {stage_files.STARTS: starts, stage_files.CALCULATOR: json.dumps(EMT_ENGINE["ase"])}
    prepare = loop.committed(EVEN, 0, files, {"elements": ["Cu"]})
    explore = loop.indexed(explore_params("training"), 1, {"prepare": prepare, "model": prepare}, 2)
    return loop, {"prepare": prepare, "explore": explore}


@pytest.mark.parametrize(("frames", "told"), [(8, False), (24, False), (25, True)])
def test_fewer_candidates_than_frames_are_told(explored, frames, told):
    loop, inputs = explored
    result = loop.run({**EVEN, "frames": frames}, 1, inputs)
    words = "".join(caution.message for caution in result.cautions)
    assert bool(words) is told
    assert ("24 candidate frames where 25 were to be chosen (spec.selection.framesPerIteration)" in words) is told
    assert result.outcome.tasks == min(frames, 24)


HELD_OUT = {**EVEN, "purpose": "hold-out", "frames": 24, "representativeFraction": 1.0}


def exploded(monkeypatch: pytest.MonkeyPatch, mark: str, is_so=lambda row: True) -> None:
    """Let rows of explore be of MD that explodes: on its brink, or heating."""
    read = json.loads

    def with_marks(text):
        rows = read(text)
        if rows and isinstance(rows, list) and "brink" in rows[0]:
            rows = [{**row, mark: is_so(row)} for row in rows]
        return rows

    monkeypatch.setattr(select_stage.json, "loads", with_marks)


@pytest.mark.parametrize("mark", ["brink", "heating"])
def test_the_hold_out_has_no_frame_of_md_about_to_explode(explored, monkeypatch, mark):
    loop, inputs = explored
    exploded(monkeypatch, mark, lambda row: row["step"] <= 30)
    result = loop.run(HELD_OUT, 0, inputs)
    assert result.outcome.tasks == 12
    assert result.cautions[0].message.startswith("the MD gave 12 candidate frames where 24")


@pytest.mark.parametrize("params", [HELD_OUT, EVEN], ids=["hold-out", "training"])
def test_strata_whose_md_had_its_conditions_nowhere_are_told_and_not_measured(explored, monkeypatch, params):
    loop, inputs = explored
    exploded(monkeypatch, "heating", lambda row: row["stratum"] == "copper/600K")
    result = loop.run({**params, "frames": 7}, 1, inputs)
    so, reason = (
        ("the even sample of this iteration has no frame of it", CautionReason.FEW_CANDIDATES)
        if params is EVEN
        else ("no error is measured there", CautionReason.HOLD_OUT_SPARSE)
    )
    words = f"all MD of copper/600K exploded before it gave a frame at its conditions: {so}"
    assert [(caution.reason, caution.message) for caution in result.cautions] == [(reason, words)]
    strata = {task["sampling"]: set() for task in loop.load_json(ref(result), "tasks.json")}
    for task in loop.load_json(ref(result), "tasks.json"):
        strata[task["sampling"]].add(task["stratum"])
    assert strata["representative"] == {"copper/300K"}
    # what shows where the model is wrong is learned from
    assert ("copper/600K" in strata.get("heating", ())) is (params is EVEN)
    assert strata.get("farthest", set()) <= {"copper/300K"}


@pytest.mark.parametrize("mark", ["brink", "heating"])
def test_where_all_md_explodes_at_once_nothing_is_asked_to_be_labelled(explored, monkeypatch, mark):
    loop, inputs = explored
    exploded(monkeypatch, mark)
    with pytest.raises(StageError) as caught:
        loop.run({**HELD_OUT, "aimd": {"trajectories": 2, "steps": 5}}, 0, inputs)
    assert caught.value.reason is Reason.NO_CANDIDATES


def test_trajectories_of_one_step_are_no_more_than_there_are_starts(explored):
    loop, inputs = explored
    asked = {steps: loop.run({**HELD_OUT, "aimd": {"trajectories": 5, "steps": steps}}, 0, inputs) for steps in (1, 2)}
    # four starts, one of which is kept for the hold-out
    assert {steps: result.outcome.labels for steps, result in asked.items()} == {1: 24 + 3, 2: 24 + 5 * 2}
    (caution,) = asked[1].cautions
    assert (caution.reason, asked[2].cautions) == (CautionReason.FEW_STARTS, [])
    assert caution.message.startswith("3 of 5 starts are labelled (spec.aimd.trajectories)")
    assert caution.message.endswith("with 1, take 3 or more), or ask for fewer trajectories"), "whole"


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


def test_all_that_is_to_be_labelled_keeps_the_cell_of_the_given_structure(explored):
    loop, inputs = explored
    params = {**EVEN, "closeContactFraction": 0.25, "noiseFrames": 1, "aimd": {"trajectories": 2, "steps": 2}}
    loop.run(params, 0, inputs)
    frames = read_frames(loop.last_workdir / stage_files.FRAMES)
    assert len(frames) == 8 + 2
    for atoms in frames:
        np.testing.assert_allclose(reference_cell(atoms), GIVEN_CELL)


def test_each_stratum_tells_how_much_md_was_asked_for(explored):
    loop, inputs = explored
    summary = loop.manifest(ref(loop.run(EVEN, 1, inputs))).summary
    assert summary["asked_of_strata"] == {"copper/300K": 12, "copper/600K": 12}


def test_a_frame_of_md_keeps_its_step(explored):
    loop, inputs = explored
    tasks = loop.load_json(ref(loop.run({**EVEN, "noiseFrames": 1, "aimd": {"steps": 2}}, 1, inputs)), "tasks.json")
    steps = [atoms.info.get("step") for atoms in read_frames(loop.last_workdir / stage_files.FRAMES)]
    assert [task.get("step") for task in tasks] == [steps[task["frame"]] for task in tasks]
    assert {task["kind"] for task in tasks if "step" not in task} == {"aimd"}


def test_low_energies_have_their_share_and_the_rest_stays(explored):
    loop, inputs = explored
    samplings = {}
    for fraction in (0.0, 0.25):
        selected = ref(loop.run({**EVEN, "lowEnergyFraction": fraction}, 1, inputs))
        samplings[fraction] = Counter(task["sampling"] for task in loop.load_json(selected, "tasks.json"))
    assert samplings[0.0] == {"representative": 2, "farthest": 6}
    assert samplings[0.25] == {"representative": 2, "low-energy": 2, "farthest": 4}


@pytest.mark.parametrize(("closest", "contacts"), [(0.6, 2), (1.4, 0)])
def test_other_frames_take_the_places_of_close_contacts_that_cannot_be_made(explored, closest, contacts):
    loop, inputs = explored
    params = {**EVEN, "closeContactFraction": 0.25, "minDistanceFactor": closest}
    selected = ref(loop.run(params, 1, inputs))
    tasks = loop.load_json(selected, "tasks.json")
    assert Counter(task["sampling"] for task in tasks)["close-contact"] == contacts
    assert len(tasks) == 8
    frames = (loop.store.get(loop.manifest(selected).files["frames.extxyz"].key) or b"").decode()
    assert frames.count("Lattice") == 8


def test_close_contacts_that_can_be_made_stay_when_others_cannot(explored, monkeypatch):
    loop, inputs = explored
    made = []

    def one_only(frames, count, *given):
        made.append(close_contacts(frames, 1, *given))
        return made[-1]

    monkeypatch.setattr("pfd_worker.stages.select.close_contacts", one_only)
    params = {**EVEN, "closeContactFraction": 0.5, "minDistanceFactor": 0.7}
    tasks = loop.load_json(ref(loop.run(params, 1, inputs)), "tasks.json")
    samplings = Counter(task["sampling"] for task in tasks)
    assert (samplings["close-contact"], samplings["representative"], len(tasks)) == (1, 2, 8)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("trajectories", "form", "told", "compared"),
    [
        (9, {"feature_form": FEATURE_FORM}, True, True),
        (3, {"feature_form": FEATURE_FORM}, False, True),
        (9, {}, False, False),
    ],
    ids=["many trajectories", "few trajectories", "features of an earlier version"],
)
def test_what_is_new_is_told_by_a_training_set_that_can_be_compared(explored, trajectories, form, told, compared):
    loop, inputs = explored
    train = labelled_before(loop, inputs, trajectories, form)
    result = loop.run({**EVEN, "representativeFraction": 0.5}, 2, {**inputs, "train": train})
    assert (result.outcome.exploration.novel is not None) == told
    assert {"novelty" in task for task in loop.load_json(ref(result), "tasks.json")} == {compared}
    assert (loop.manifest(ref(result)).summary["force_error_bound"] is not None) == compared
    assert result.outcome.tasks == 8


def test_the_newest_of_the_frames_to_train_on_are_labelled_twice(explored):
    loop, inputs = explored
    train = labelled_before(loop, inputs, 2, {"feature_form": FEATURE_FORM})
    result = loop.run({**EVEN, "noiseFrames": 2}, 2, {**inputs, "train": train})
    *tasks, first, second = loop.load_json(ref(result), "tasks.json")
    assert (result.outcome.labels, len(tasks)) == (10, 8)
    newest = sorted(tasks, key=lambda task: task["novelty"], reverse=True)[:2]
    assert [first, second] == [{**task, "purpose": "noise"} for task in newest]


def labelled_before(loop: Loop, inputs: dict, trajectories: int, form: dict) -> StageRef:
    dataset = []
    for number in range(9):
        dataset.append(bulk("Cu", cubic=True))
        about = {"system": "copper", "trajectory": f"t{number % trajectories}", "sampling": "representative"}
        dataset[-1].info = about
    features = io.BytesIO()
    np.save(features, np.random.default_rng(1).normal(size=(9, features_of_candidates(loop, inputs))))
    files = {stage_files.DATASET: dataset, stage_files.DATASET_FEATURES: features.getvalue()}
    settings = {**TRAIN, "training": {"steps": trajectories + len(form)}}
    return loop.committed(settings, 1, files, {"error_of_novelty": 2.0, **form})


def features_of_candidates(loop: Loop, inputs: dict) -> int:
    content = loop.store.get(loop.manifest(inputs["explore"], 0).files[stage_files.FEATURES].key)
    return np.load(io.BytesIO(content)).shape[1]


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


def test_explore_that_is_stopped_commits_nothing(explored):
    loop, inputs = explored
    model = {"prepare": inputs["prepare"], "model": inputs["prepare"]}
    stopping = threading.Event()
    with pytest.raises(StageError, match=r"stopped in i004-training-copper.*starts anew") as caught:
        loop.run(explore_params("training"), 4, model, 0, stopping, progress=lambda *_: stopping.set())
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.PREEMPTED, Reason.PREEMPTED)
    assert read_manifest(loop.store, loop.spec(explore_params("training"), 4, model).digest, 0) is None


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


def test_what_is_told_to_the_report(explored):
    loop, inputs = explored
    selected = ref(loop.run(EVEN, 1, inputs))
    drawn = FeatureMap.from_json(loop.load_json(selected, stage_files.FEATURE_MAP))
    candidates = loop.manifest(selected).result.outcome.exploration.candidates
    assert drawn.total == candidates == len(drawn.points) and (drawn.roles == Role.CHOSEN).sum() == 8
    summary = loop.manifest(selected).summary
    shards = [loop.manifest(inputs["explore"], index) for index in range(2)]
    assert summary["explore_pods"] == 2
    assert summary["explore_seconds"] == pytest.approx(sum(shard.result.seconds for shard in shards))


def test_what_an_explore_pod_of_an_earlier_version_ran_is_not_known(explored):
    loop, inputs = explored
    explore = loop.indexed(explore_params("training"), 5, dict.fromkeys(MODEL, inputs["prepare"]), 2)
    key = manifest_key(explore.digest, 1)
    manifest = json.loads(loop.store.get(key) or b"")
    manifest["result"]["counts"] = manifest["result"].pop("outcome")
    (loop.folder / "store" / key).write_text(json.dumps(manifest))
    found = loop.run(EVEN, 5, {**inputs, "explore": explore}).outcome.exploration
    assert (found.candidates, found.trajectories, found.exploded) == (24, None, None)
