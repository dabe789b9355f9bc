"""Select on the MD of a calculator: which frames are labelled, by what share, and what is told of them."""

import io
import json
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk

from pfd_operator.contract.result import CautionReason, Reason
from pfd_operator.contract.stage import StageRef
from pfd_worker import stage_files
from pfd_worker.cells import reference_cell
from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.models.base import FEATURE_FORM
from pfd_worker.selection.contacts import close_contacts
from pfd_worker.selection.feature_map import FeatureMap, Role
from pfd_worker.stages import select as select_stage
from tests.unit.worker.stages.explored_copper import EVEN, GIVEN_CELL, HELD_OUT
from tests.unit.worker.stages.loop import TRAIN, Loop, ref


@pytest.mark.parametrize(("frames", "told"), [(8, False), (24, False), (25, True)])
def test_fewer_candidates_than_frames_are_told(explored, frames, told):
    loop, inputs = explored
    result = loop.run({**EVEN, "frames": frames}, 1, inputs)
    words = "".join(caution.message for caution in result.cautions)
    assert bool(words) is told
    assert ("24 candidate frames where 25 were to be chosen (spec.selection.framesPerIteration)" in words) is told
    assert result.outcome.tasks == min(frames, 24)


@pytest.mark.parametrize("novelty", ["Distance", "Uncertainty"])
def test_a_candidate_whose_descriptors_are_no_numbers_is_left_out_and_named(explored, monkeypatch, novelty):
    loop, inputs = explored
    read = np.load

    def with_a_gap(path, *args, **kwargs):
        features = read(path, *args, **kwargs)
        if len(features) > 3:
            features[3, 0] = np.nan
        return features

    monkeypatch.setattr(select_stage.np, "load", with_a_gap)
    result = loop.run({**EVEN, "frames": 10, "representativeFraction": 0, "novelty": novelty}, 1, inputs)
    assert result.outcome.tasks == 10
    tasks = loop.load_json(ref(result), "tasks.json")
    files = [loop.manifest(inputs["explore"], index).files[stage_files.CANDIDATE_ROWS].key for index in (0, 1)]
    shards = [json.loads(loop.store.get(key)) for key in files]
    gone = [rows[3] for rows in shards]
    assert not {(each["trajectory"], each["step"]) for each in gone} & {
        (task["trajectory"], task["step"]) for task in tasks
    }
    (caution,) = result.cautions
    assert "2 candidates are left out, of which the model's descriptors are not numbers (" in caution.message
    for each in gone:
        assert f"{each['trajectory']} at step {each['step']}" in caution.message


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
