"""Trajectories that are stopped go on as if they never had been."""

import threading

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT

from pfd_operator.contract.exploration import Barostat, Ensemble
from pfd_operator.contract.result import Reason
from pfd_operator.contract.tasks import MdTask
from pfd_worker.errors import StageError, preempted, transient
from pfd_worker.md.checkpoints import MdCheckpoints
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.store.objects import DirectoryStore

FOLDER = "stages/0/checkpoints/index-00000/"
START = bulk("Cu", cubic=True)
START.info["reference_cell"] = START.cell.array.copy()
ENSEMBLES = [
    (Ensemble.NVE, None, Barostat.ISOTROPIC),
    (Ensemble.NVT, None, Barostat.ISOTROPIC),
    (Ensemble.NPT, 1.0, Barostat.ISOTROPIC),
    (Ensemble.NPT, 1.0, Barostat.FLEXIBLE),
]


def task(ensemble=Ensemble.NPT, bar=1.0, barostat=Barostat.FLEXIBLE, steps=110):
    return MdTask(system="cu", stage=0, ensemble=ensemble, temperature_kelvin=600.0, pressure_bar=bar, timestep_fs=4.0,
                  steps=steps, sample_every=25, replica=0, seed=3, barostat=barostat)  # fmt: skip


def checkpoints(folder, seconds=1e9, names=("t",)):
    found = MdCheckpoints(DirectoryStore(folder), FOLDER, dict.fromkeys(names, START), seconds)
    return found, found.load()


class Memoryless(EMT):
    """EMT with new neighbours in each frame: those that were found some steps ago would come in another order."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, all_changes)


class Breaks(Memoryless):
    """It has an energy that is not a number from a call on."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def calculate(self, *given, **named):
        super().calculate(*given, **named)
        self.left -= 1
        if self.left < 0:
            self.results["energy"] = self.results["free_energy"] = float("nan")


def run(conditions, kept=None, stop_at=None, calculator=None, name="t"):
    stopping = threading.Event()

    def on_step(step):
        if step == stop_at:
            stopping.set()

    named = {} if kept is None else {"kept": kept.of(name)}
    return run_trajectory(START, calculator or Memoryless(), conditions, name, 0.6, stopping, on_step, **named)


def assert_same(first, second):
    assert (first.steps_done, first.exploded_at_step, first.reason) == (
        second.steps_done, second.exploded_at_step, second.reason,
    )  # fmt: skip
    assert [atoms.info["step"] for atoms in first.frames] == [atoms.info["step"] for atoms in second.frames]
    for one, other in zip(first.frames, second.frames, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.cell.array, other.cell.array)
        np.testing.assert_equal(one.info, other.info)


@pytest.mark.parametrize(("ensemble", "bar", "barostat"), ENSEMBLES)
@pytest.mark.parametrize("stop_at", [20, 50, 95])
def test_md_that_is_stopped_goes_on_bit_for_bit(tmp_path, ensemble, bar, barostat, stop_at):
    conditions = task(ensemble, bar, barostat)
    whole = run(conditions)
    kept, done = checkpoints(tmp_path)
    assert done == 0
    assert run(conditions, kept, stop_at).steps_done == stop_at
    assert kept.save() == stop_at
    kept, done = checkpoints(tmp_path)
    assert done == stop_at
    assert_same(run(conditions, kept), whole)


def test_it_may_be_stopped_again_and_again_and_no_frame_is_stored_twice(tmp_path):
    whole, store = run(task()), DirectoryStore(tmp_path)
    for stop_at in (20, 25, 50, 70, 110):
        kept, _ = checkpoints(tmp_path)
        found = run(task(), kept, stop_at)
        kept.save()
    assert_same(found, whole)
    parts = store.list(FOLDER)
    assert len(parts) == 5
    with np.load(tmp_path / parts[-1], allow_pickle=False) as newest:
        assert newest["0.positions"].shape == (2, len(START), 3), "those of steps 75 and 100"
    kept, done = checkpoints(tmp_path)
    assert done == 110
    assert_same(run(task(), kept, calculator=Breaks(0)), whole)


@pytest.mark.parametrize("calls", [10, 55, 100])
def test_the_end_of_what_exploded_is_known_again(tmp_path, calls):
    whole = run(task(), calculator=Breaks(calls))
    assert whole.exploded_at_step is not None and whole.frames[-1].info["brink"]
    # stored at every check: the last sample, too, before it is known to be the last
    kept, _ = checkpoints(tmp_path, seconds=0)
    run(task(), kept, calculator=Breaks(calls))
    kept, _ = checkpoints(tmp_path)
    assert_same(run(task(), kept, calculator=Breaks(0)), whole)


def test_a_part_that_is_damaged_costs_what_came_after_it(tmp_path):
    whole, store = run(task()), DirectoryStore(tmp_path)
    kept, _ = checkpoints(tmp_path, seconds=0)
    run(task(), kept, 95)
    parts = store.list(FOLDER)
    content = store.get(parts[2])
    for damaged in (content[:-100], b"", b"no archive", np.lib.format.magic(1, 0)):
        store.put(parts[2], damaged)
        kept, done = checkpoints(tmp_path)
        assert done == 25 and store.list(FOLDER) == parts[:2]
        assert_same(run(task(), kept), whole)
        store.put(parts[2], content)


def test_parts_of_a_pod_that_was_thought_lost_are_not_mixed_with_those_of_its_successor(tmp_path):
    whole, store = run(task()), DirectoryStore(tmp_path)
    lost, _ = checkpoints(tmp_path)
    run(task(), lost, 20)
    lost.save()
    successor, _ = checkpoints(tmp_path)
    run(task(), lost, 70)
    lost.save()
    run(task(), successor, 45)
    successor.save()
    run(task(), lost, 95)
    lost.save()
    kept, done = checkpoints(tmp_path)
    assert done == 45 and len(store.list(FOLDER)) == 2
    assert_same(run(task(), kept), whole)


def test_what_is_stored_of_other_trajectories_is_left_out(tmp_path, caplog):
    kept, _ = checkpoints(tmp_path)
    run(task(), kept, 20)
    kept.save()
    _, done = checkpoints(tmp_path, names=("another",))
    assert done == 0 and "KeyError" in caplog.text


def test_md_goes_on_while_the_store_is_away(tmp_path, monkeypatch, caplog):
    kept, _ = checkpoints(tmp_path, seconds=0)

    def away(self, key, content):
        raise transient(Reason.STORE_UNAVAILABLE, "the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(DirectoryStore, "put", away)
        assert run(task(), kept, 70).steps_done == 70
    assert "no checkpoint was stored: the store is away" in caplog.text
    assert kept.save() == 70


def test_md_ends_where_the_store_will_not_take_what_it_does(tmp_path, monkeypatch):
    kept, _ = checkpoints(tmp_path, seconds=0)

    def expired(self, key, content):
        raise preempted("the keys have expired")

    monkeypatch.setattr(DirectoryStore, "put", expired)
    with pytest.raises(StageError, match="expired"):
        run(task(), kept)
