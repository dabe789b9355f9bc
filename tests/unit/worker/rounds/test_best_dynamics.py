"""MD of the report: run once of a model, and anew if anything is another."""

import json

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_worker import stage_files
from pfd_worker.md.replay import AimdRun, read_aimd, write_aimd
from pfd_worker.report.dynamics import dynamics_digest, measure_dynamics
from tests.unit.worker.rounds.prepared import UntrainedRound, iteration, prepared
from tests.unit.worker.stages.loop import Loop, ref

FIRST = {"frames": 8, "representativeFraction": 1, "aimd": {"trajectories": 2, "steps": 6}, "noiseFrames": 1}
LATER = {"frames": 8, "representativeFraction": 1, "noiseFrames": 1}


class RoundWithAnotherModel(UntrainedRound):
    """One that is said to be better, and computes the same."""

    def train(self, dataset, output):
        output.write_bytes(b"another")

    def replaces(self, newest, so_far):
        return True


@pytest.fixture
def measured(monkeypatch):
    """What was run."""
    found = []

    def measure(*given):
        found.append(measure_dynamics(*given))
        return found[-1]

    monkeypatch.setattr("pfd_worker.rounds.best_dynamics.measure_dynamics", measure)
    return found


def summary_of_earlier_version(loop, result):
    """Take out of a manifest what an earlier version did not tell."""
    manifest = loop.manifest(result)
    (key,) = [key for key in loop.store.list("stages/") if manifest.digest in key and key.endswith("manifest.json")]
    content = json.loads(loop.store.get(key))
    del content["summary"]["dynamics"]
    loop.store.put(key, json.dumps(content).encode())


def test_md_of_a_model_that_stays_the_best_is_run_once(tmp_path, measured):
    loop = Loop(tmp_path)
    prepare = prepared(loop)
    results = [iteration(loop, 0, prepare, FIRST, None)]
    for number in (1, 2):
        results.append(iteration(loop, number, prepare, LATER, ref(results[-1])))
    reports = [loop.load_json(ref(result), stage_files.REPORT_JSON) for result in results]
    assert [report["bestIteration"] for report in reports] == [None] * 3
    assert [each.to_json() for each in measured] == [reports[0]["dynamics"]]
    assert reports[0]["dynamics"] == reports[1]["dynamics"] == reports[2]["dynamics"]


def test_md_of_another_model_and_after_an_earlier_version_is_run_anew(tmp_path, measured):
    loop = Loop(tmp_path)
    prepare = prepared(loop)
    first = iteration(loop, 0, prepare, FIRST, None)
    second = iteration(loop, 1, prepare, LATER, ref(first), RoundWithAnotherModel)
    assert loop.load_json(ref(second), stage_files.REPORT_JSON)["bestIteration"] == 1 and len(measured) == 2
    summary_of_earlier_version(loop, second)
    iteration(loop, 2, prepare, LATER, ref(second))
    assert len(measured) == 3


@pytest.fixture
def aimd(tmp_path):
    frames = []
    for seed in range(3):
        frames.append(bulk("Cu", a=3.61) * (2, 1, 1))
        frames[-1].rattle(0.1, seed=seed)
    frames[0].set_momenta(EMT().get_forces(frames[0]))
    path = tmp_path / "aimd.extxyz"
    write_aimd(path, [AimdRun("001", 0.7, 1 / 3, tuple(frames))])
    return path


def test_what_decides_the_md_decides_its_name(tmp_path, aimd, monkeypatch):
    model, other = tmp_path / "model.pt", tmp_path / "other"
    model.write_bytes(b"model")
    other.write_bytes(b"other")
    digest = dynamics_digest(model, aimd, 400, 1)
    assert digest == dynamics_digest(model, aimd, 400, 1)
    assert dynamics_digest(model, aimd, 4000, 1) == dynamics_digest(model, aimd, 40_000, 1), "both of the longest run"
    others = {dynamics_digest(*given) for given in [(other, aimd, 400, 1), (model, other, 400, 1)]}
    others |= {dynamics_digest(model, aimd, *given) for given in [(800, 1), (400, 2)]}
    monkeypatch.setattr("pfd_worker.report.dynamics.package_versions", lambda: {"deepmd-kit": "0"})
    others |= {dynamics_digest(model, aimd, 400, 1)}
    assert len(others | {digest}) == 6


def test_aimd_that_is_handed_on_keeps_its_bytes(tmp_path, aimd):
    write_aimd(tmp_path / "handed-on.extxyz", read_aimd(aimd))
    assert (tmp_path / "handed-on.extxyz").read_bytes() == aimd.read_bytes()
