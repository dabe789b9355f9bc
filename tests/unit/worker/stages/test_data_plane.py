"""Two iterations of the whole data plane: MD, selection, real labels by EMT, real training by deepmd-kit."""

import threading
from collections import Counter

import numpy as np
import pytest
from ase.build import bulk

from pfd_worker.errors import StageError
from pfd_worker.frames import read_frames
from pfd_worker.models.deepmd import DeepmdModel
from tests.unit.worker.stages.loop import (
    EXPLORATION,
    TRAIN,
    Loop,
    explore_params,
    iteration_zero,
    later_iteration,
    measured,
    prepare_params,
    ref,
)

pytestmark = pytest.mark.image


def frames_of(loop, result, name, tmp_path):
    path = tmp_path / name
    loop.store.download(loop.manifest(result).files[name].key, path)
    return read_frames(path)


def test_iteration_zero_measures_baselines_and_trains(fine_tuned):
    _, _, _, train0, _, _ = fine_tuned
    assert measured(train0) == {"pretrained", "shifted", "holdout", "training", "best"}
    assert train0.outcome.errors.holdout.frames == 6 and train0.outcome.training_frames == 10
    errors = train0.outcome.errors
    assert errors.pretrained.force_rmse == pytest.approx(errors.shifted.force_rmse, abs=1e-6)
    assert errors.best.force_rmse == min(errors.shifted.force_rmse, errors.holdout.force_rmse)
    assert train0.model_uri is not None and train0.model_uri.endswith("best.pt")


def test_later_iterations_measure_the_exploring_model_first(fine_tuned):
    loop, _, _, _, refs1, train1 = fine_tuned
    assert measured(train1) == {"prequential", "farthest", "holdout", "training", "best"}
    tasks = loop.load_json(refs1["select"], "tasks.json")
    samplings = Counter(task["sampling"] for task in tasks)
    # whether the tiny model's hot MD explodes is a matter of digits
    assert samplings["representative"] == 4 and samplings["farthest"] + samplings["brink"] == 4
    assert (train1.outcome.errors.prequential.frames, train1.outcome.errors.farthest.frames) == (4, 4)
    assert train1.outcome.training_frames == 18
    report = loop.load_json(ref(train1), "evaluation.json")
    assert {"copper/300K", "copper/600K"} == set(report["prequential"]["strata"])
    assert "Cu" in report["holdout"]["elements"]
    assert {"pretrained", "shifted", "best"} <= set(loop.manifest(train1).summary["metrics"])
    assert {task["stratum"] for task in tasks} == {"copper/300K", "copper/600K"}


def test_labels_tell_what_error_to_expect_of_the_next_frames_before_those_are_paid_for(fine_tuned):
    loop, prepare, _, _, refs1, train1 = fine_tuned
    tasks = loop.load_json(refs1["select"], "tasks.json")
    assert all(task["novelty"] > 0 for task in tasks)
    # four frames drawn evenly do not tell what nine in ten stay below
    assert loop.manifest(train1).summary["error_of_novelty"] is None
    _, train2 = later_iteration(loop, 2, prepare, ref(train1), frames=20)
    assert loop.manifest(train2).summary["error_of_novelty"] > 0
    refs3, train3 = later_iteration(loop, 3, prepare, ref(train2), frames=20)
    bound = loop.manifest(refs3["select"]).summary["force_error_bound"]
    assert 0 < bound["p10"] <= bound["p50"] <= bound["p90"] <= bound["p100"]
    bounds = [record["forceErrorBound"] for record in loop.load_json(ref(train3), "history.json")["iterations"]]
    assert bounds[:3] == [None] * 3 and bound.items() < bounds[3].items()
    assert 0 <= bounds[3]["held"] <= bounds[3]["frames"] == 10


def test_labels_weigh_by_the_md_asked_for_where_they_are_of(fine_tuned, tmp_path):
    loop, _, _, _, refs1, train1 = fine_tuned
    asked = loop.manifest(refs1["select"]).summary["asked_of_strata"]
    assert asked.keys() == {"copper/300K", "copper/600K"} and len(set(asked.values())) == 1
    of_md = Counter()
    for atoms in frames_of(loop, train1, "dataset.extxyz", tmp_path):
        if atoms.info["sampling"] in ("representative", "farthest"):
            of_md[atoms.info["stratum"]] += atoms.info["weight"]
        else:
            assert "weight" not in atoms.info
    assert of_md["copper/300K"] == pytest.approx(of_md["copper/600K"])


def test_an_iteration_can_go_on_from_the_best_model_so_far(fine_tuned, tmp_path):
    loop, _, _, train0, refs1, train1 = fine_tuned
    assert train0.outcome.best_iteration == 0
    again = loop.run({**TRAIN, "continues": True}, 1, refs1)
    assert again.digest != train1.digest and again.outcome.training_frames == train1.outcome.training_frames
    begun = DeepmdModel(loop.last_workdir / "training" / "start.pt")
    loop.store.download(loop.manifest(train0).files["best.pt"].key, tmp_path / "best.pt")
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.1, seed=1)
    started, best, other = (
        model.predict([copper])[0].forces
        for model in (begun, DeepmdModel(tmp_path / "best.pt"), DeepmdModel(loop.last_workdir / "shifted.pt"))
    )
    assert started == pytest.approx(best, abs=1e-5)
    assert abs(started - other).max() > 1e-3


def test_md_with_a_real_model_goes_on_where_it_was_stopped(fine_tuned, every_check_told, tmp_path):
    loop, prepare, _, train0, _, _ = fine_tuned
    model = {"prepare": prepare, "model": ref(train0)}
    params = explore_params("training") | {"exploration": {**EXPLORATION, "pods": 1}}
    stopping = threading.Event()
    with pytest.raises(StageError, match=r"MD goes on from the \d+ steps that are stored"):
        loop.run(
            params, 9, model, stopping=stopping, progress=lambda percent, _: stopping.set() if percent > 40 else None
        )
    resumed = loop.run(params, 9, model)
    whole = Loop(tmp_path)
    whole.location, whole.store, whole.image = loop.location, loop.store, "another"
    beside = whole.run(params, 9, model)
    assert not beside.reused and beside.digest != resumed.digest
    ours, theirs = (frames_of(loop, result, "candidates.extxyz", tmp_path) for result in (resumed, beside))
    assert [a.info["step"] for a in ours] == [a.info["step"] for a in theirs]
    # neighbours come in another order after a stop, and MD is chaotic: short as it is, it has not lost its way
    for one, other in zip(ours, theirs, strict=True):
        assert one.positions == pytest.approx(other.positions, abs=1e-3)


def test_holdout_is_frozen_and_shares_neither_frames_nor_trajectories_with_training(fine_tuned, tmp_path):
    loop, _, _, train0, _, train1 = fine_tuned
    before = frames_of(loop, train0, "holdout.extxyz", tmp_path)
    after = frames_of(loop, train1, "holdout.extxyz", tmp_path)
    np.testing.assert_allclose([a.positions for a in before], [a.positions for a in after])
    training = frames_of(loop, train1, "dataset.extxyz", tmp_path)
    assert not {a.info["trajectory"] for a in after} & {a.info["trajectory"] for a in training}
    assert all("virial" in atoms.info for atoms in [*after, *training])
    assert {atoms.info["stratum"] for atoms in after} == {"copper/300K", "copper/600K"}


def test_a_second_run_of_a_stage_returns_the_first_result(fine_tuned):
    loop, _, refs0, train0, _, _ = fine_tuned
    again = loop.run(TRAIN, 0, refs0)
    assert again.reused and again.outcome == train0.outcome


def test_the_same_job_elsewhere_makes_the_same_choices(fine_tuned, tmp_path, pretrained):
    loop, _, refs0, _, _, _ = fine_tuned
    other = Loop(tmp_path, uid="uid-2")
    prepare = ref(other.run(prepare_params(loop.folder, pretrained)))
    refs, _ = iteration_zero(other, prepare)
    assert other.load_json(refs["select"], "tasks.json") == loop.load_json(refs0["select"], "tasks.json")


def test_a_share_of_the_frames_is_of_low_energy(fine_tuned):
    loop, _, _, _, refs1, _ = fine_tuned
    inputs = loop.inputs[refs1["select"].digest]
    params = {"stage": "select", "purpose": "training", "frames": 8, "representativeFraction": 0.25}
    selected = ref(loop.run({**params, "lowEnergyFraction": 0.25}, 1, inputs))
    samplings = Counter(task["sampling"] for task in loop.load_json(selected, "tasks.json"))
    assert samplings["representative"] == samplings["low-energy"] == 2 and samplings.total() == 8


def test_candidates_and_features_belong_together(fine_tuned, tmp_path):
    loop, prepare, _, train0, refs1, _ = fine_tuned
    select = loop.manifest(refs1["select"])
    assert select.result.outcome.labels == 8
    spec = loop.spec(explore_params("training"), 1, {"prepare": prepare, "model": ref(train0)})
    shards = [loop.manifest(ref(spec), index) for index in range(2)]
    candidates = sum(shard.result.outcome.candidates for shard in shards)
    assert candidates == select.result.outcome.exploration.candidates
    for shard in shards:
        for name in ("features.npy", "candidates.extxyz"):
            loop.store.download(shard.files[name].key, tmp_path / name)
        assert len(np.load(tmp_path / "features.npy")) == len(read_frames(tmp_path / "candidates.extxyz"))
        assert len(shard.summary["trajectories"]) == 1
