import threading

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from pfd_worker.acceptance.speed import cell_sizes, largest_cell, measure_speed, speed_ups

TORCHSCRIPT_FAILED = RuntimeError("Traceback of TorchScript\nRuntimeError: CUDA out of memory. Tried to allocate 9 GiB")
DEEPMD_FAILED = Exception("The callable still throws an out-of-memory (OOM) error even when batch size is 1!")
DEEPMD_FAILED.__cause__ = RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")


class Clock:
    """Goes on when a calculator is called, and by next to nothing when it is read."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        self.now += 1e-6
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("pfd_worker.acceptance.timed_run.time", clock)
    monkeypatch.setattr(Timed, "clock", clock)
    return clock


class Timed(Calculator):
    """Free atoms, a fixed time a call; notes who was called when."""

    implemented_properties = ["energy", "forces", "stress"]
    clock = None

    def __init__(self, name, seconds=0.0, log=None, fails_above=None, failure=TORCHSCRIPT_FAILED):
        super().__init__()
        self.title, self.seconds, self.fails_above, self.failure = name, seconds, fails_above, failure
        self.log = [] if log is None else log

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.log.append((self.title, len(atoms), tuple(properties)))
        if self.fails_above is not None and len(atoms) > self.fails_above:
            raise self.failure
        self.clock.now += self.seconds
        self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}


@pytest.fixture
def copper():
    return bulk("Cu", cubic=True)


def test_records_tell_the_true_number_of_atoms_and_the_time_of_a_step(copper):
    log = []
    models = {"slow": Timed("slow", 0.02, log), "fast": Timed("fast", 0.002, log)}
    records = measure_speed(models, copper, sizes=(30, 108), steps=8, warmup=2)
    assert [(r.model, r.asked_atoms, r.atoms, r.steps) for r in records] == [
        ("slow", 30, 32, 8),
        ("fast", 30, 32, 8),
        ("slow", 108, 108, 8),
        ("fast", 108, 108, 8),
    ]
    assert [r.median_ms_per_step for r in records] == pytest.approx([20, 2, 20, 2], rel=0.01)
    assert [r.steps_per_second for r in records] == pytest.approx([50, 500, 50, 500], rel=0.01)
    assert all(r.fits and r.note is None for r in records)
    assert speed_ups(records, "fast", over="slow") == pytest.approx({30: 10, 108: 10}, rel=0.01)
    assert largest_cell(records, "fast") == 108
    # one evaluation a step, of everything at once: 1 at the start, 2 of warm-up, 8 timed
    calls = [entry for entry in log if entry[:2] == ("slow", 32)]
    assert calls == [("slow", 32, ("energy", "forces", "stress"))] * 11


def test_models_take_turns(copper):
    log = []
    measure_speed({"a": Timed("a", log=log), "b": Timed("b", log=log)}, copper, sizes=(4,), steps=10, warmup=1)
    timed = "".join(name for name, _, _ in log)
    assert timed == "aabb" + "aaaaabbbbb" * 2


def test_all_models_start_from_the_same_positions_and_velocities(copper):
    seen = {"a": [], "b": []}

    def noting(key):
        class Noting(EMT):
            def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
                seen[key].append(atoms.positions.copy())
                super().calculate(atoms, properties, system_changes)

        return Noting()

    measure_speed({key: noting(key) for key in seen}, copper, sizes=(32,), steps=4, warmup=1, seed=3)
    np.testing.assert_array_equal(seen["a"], seen["b"])
    assert np.abs(seen["a"][-1] - seen["a"][0]).max() > 1e-3


def test_a_slow_model_gets_fewer_steps_but_three_and_says_so(copper):
    log = []
    models = {"slow": Timed("slow", 0.3, log), "fast": Timed("fast", 0.0, log)}
    slow, fast = measure_speed(models, copper, sizes=(4,), steps=20, warmup=3, limit_seconds=0.5)
    assert (slow.steps, fast.steps) == (3, 20)
    assert slow.note is not None and "3 steps instead of 20" in slow.note and fast.note is None
    assert slow.median_ms_per_step is not None
    assert sum(name == "slow" for name, _, _ in log) == 5


def test_a_model_whose_first_evaluation_takes_all_the_time_has_no_further_warm_up(copper):
    log = []
    (record,) = measure_speed({"slow": Timed("slow", 0.03, log)}, copper, sizes=(4,), limit_seconds=0.01)
    assert (record.steps, len(log)) == (3, 4)


@pytest.mark.parametrize("failure", [TORCHSCRIPT_FAILED, DEEPMD_FAILED])
def test_a_size_that_does_not_fit_is_a_record_and_larger_ones_are_not_tried(copper, failure):
    log = []
    models = {"big": Timed("big", log=log, fails_above=40, failure=failure), "light": Timed("light", log=log)}
    records = measure_speed(models, copper, sizes=(256, 32, 108), steps=3, warmup=1)
    big = {r.atoms: r for r in records if r.model == "big"}
    assert [big[n].fits for n in (32, 108, 256)] == [True, False, False]
    assert big[108].median_ms_per_step is None and big[108].steps == 0
    assert "out of memory" in str(big[108].note) and "108 atoms did not fit" in str(big[256].note)
    assert ("big", 256, ("energy", "forces", "stress")) not in log
    assert all(r.fits and r.steps == 3 for r in records if r.model == "light")
    assert set(speed_ups(records, "light", over="big")) == {32}
    assert (largest_cell(records, "big"), largest_cell(records, "light")) == (32, 256)


def test_molecules_are_timed_without_stress(copper):
    class NoStress(Timed):
        implemented_properties = ["energy", "forces"]

    copper.pbc, log = False, []
    (record,) = measure_speed({"molecular": NoStress("molecular", log=log)}, copper, sizes=(108,), steps=4, warmup=1)
    assert (record.steps, record.atoms) == (4, 4)
    assert cell_sizes([record]) == {108: 4}
    assert {properties for _, _, properties in log} == {("energy", "forces")}


def test_other_errors_are_not_swallowed(copper):
    class Broken(Timed):
        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        measure_speed({"broken": Broken("broken")}, copper, sizes=(4,))


def test_a_calculator_without_stress_is_refused_by_name(copper):
    class NoStress(Timed):
        implemented_properties = ["energy", "forces"]

    with pytest.raises(ValueError, match="model half: its calculator has no stress"):
        measure_speed({"half": NoStress("half")}, copper, sizes=(4,))


def test_stopping_ends_between_steps(copper):
    stopping = threading.Event()
    stopping.set()
    (record,) = measure_speed({"a": Timed("a")}, copper, sizes=(4,), stopping=stopping)
    assert (record.steps, record.median_ms_per_step, record.fits) == (0, None, True)
