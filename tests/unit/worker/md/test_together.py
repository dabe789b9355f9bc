import threading

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.tasks import MdTask
from pfd_worker.md.together import AbandonedError, run_together, trajectories_together
from pfd_worker.md.trajectory import run_trajectory
from pfd_worker.models.calculator import CalculatorModel

NEVER = threading.Event()


class Emt(CalculatorModel):
    """Computes several frames at a time and notes which."""

    atoms_together = 64

    def __init__(self):
        super().__init__(EMT)
        self.batches = []

    def predict_moving(self, frames):
        self.batches.append([len(atoms) for atoms in frames])
        if not all(np.isfinite(atoms.positions).all() for atoms in frames):
            raise RuntimeError("no neighbours in infinity")
        return self.predict(frames)


def trajectory(steps, seed, atoms=None, bar=1.0):
    task = MdTask(system="cu", stage=0, ensemble=Ensemble.NPT, temperature_kelvin=600.0, pressure_bar=bar,
                  timestep_fs=2.0, steps=steps, sample_every=5, replica=0, seed=seed)  # fmt: skip
    start = atoms or bulk("Cu", cubic=True)
    return lambda calculator: run_trajectory(
        start, calculator, task, f"t{seed}", 0.6, threading.Event(), lambda step: None
    )


def test_each_is_what_it_is_alone():
    runs = [trajectory(steps, seed) for seed, steps in enumerate((20, 45, 5, 30, 30))]
    together, alone = run_together(Emt(), runs, 3, NEVER), run_together(Emt(), runs, 1, NEVER)
    for one, other in zip(together, alone, strict=True):
        assert (one.steps_done, one.reason) == (other.steps_done, other.reason)
        for frame, expected in zip(one.frames, other.frames, strict=True):
            np.testing.assert_allclose(frame.positions, expected.positions, atol=1e-9)
            assert frame.info["trajectory"] == expected.info["trajectory"]


def test_a_batch_holds_a_frame_of_each_that_runs_and_a_run_that_ends_makes_room():
    def batches():
        model = Emt()
        sizes = [bulk("Cu", cubic=True).repeat((n, 1, 1)) for n in (1, 2, 3)]
        runs = [trajectory(steps, 1, atoms) for steps, atoms in zip((20, 5, 5), sizes, strict=True)]
        run_together(model, runs, 2, NEVER)
        return model.batches

    found = batches()
    assert [batch for batch, before in zip(found, [None, *found], strict=False) if batch != before] == [
        [4, 8], [4, 12], [4],
    ]  # fmt: skip
    assert found == batches()


def test_one_that_no_model_can_compute_ends_alone():
    def runs_away(calculator):
        atoms = bulk("Cu", cubic=True)
        atoms.calc = calculator
        atoms.get_forces()
        atoms.positions[:] = np.inf
        with pytest.raises(Exception, match=r".+"):
            atoms.get_forces()
        return "ended"

    ended, sound = run_together(Emt(), [runs_away, trajectory(20, 1)], 2, NEVER)
    assert ended == "ended"
    assert (sound.steps_done, sound.reason) == (20, None)


def test_a_bug_in_one_ends_all_soon():
    def broken(calculator):
        raise KeyError("a bug")

    model = Emt()
    with pytest.raises(KeyError, match="a bug"):
        run_together(model, [trajectory(100_000, 1), broken, trajectory(100_000, 2)], 3, NEVER)
    assert len(model.batches) < 1000


def test_what_interrupts_the_model_ends_the_threads():
    class Interrupted(Emt):
        def predict_moving(self, frames):
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        run_together(Interrupted(), [trajectory(100_000, 1), trajectory(100_000, 2)], 2, NEVER)
    assert set(threading.enumerate()) <= before


def test_all_are_abandoned_when_the_stage_is_to_stop():
    stopping, model = threading.Event(), Emt()

    def stop_after(calculator):
        outcome = trajectory(10, 3)(calculator)
        stopping.set()
        return outcome

    with pytest.raises(AbandonedError):
        run_together(model, [trajectory(100_000, 1), stop_after], 2, stopping)
    assert len(model.batches) < 50


@pytest.mark.parametrize(("sizes", "expected"), [([4], 1), ([4] * 5, 5), ([4] * 100, 16), ([4, 32], 2), ([65, 4], 1)])
def test_as_many_step_together_as_the_model_takes_gladly(sizes, expected):
    model = Emt()
    assert trajectories_together(model, [bulk("Cu").repeat((size, 1, 1)) for size in sizes]) == expected


def test_a_calculator_takes_one_frame_at_a_time():
    assert trajectories_together(CalculatorModel(EMT), [bulk("Cu")] * 5) == 1
