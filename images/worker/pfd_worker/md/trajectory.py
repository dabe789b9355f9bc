"""One MD trajectory: candidate frames at regular steps, and an early end when it explodes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.tasks import MdTask
from pfd_worker.cells import reference_cell
from pfd_worker.frames import bare
from pfd_worker.md.cells import keeps_its_cell
from pfd_worker.md.dynamics import make_dynamics
from pfd_worker.md.faults import advance, energy_fault, fault
from pfd_worker.md.state import Kept, MdState, NotKept, TrajectoryOutcome

CHECK_EVERY_STEPS = 20
NOT_KEPT = NotKept()


def _snapshot(atoms: Atoms, task: MdTask, ensemble: Ensemble, trajectory: str, step: int) -> Atoms:
    frame = bare(atoms)
    frame.info = {
        "system": task.system,
        "stratum": task.stratum,
        "trajectory": trajectory,
        "step": step,
        "potential_energy": float(atoms.get_potential_energy()),
        "brink": False,
        "heating": False,
        "reference_cell": reference_cell(atoms),
        "measured_kelvin": float(atoms.get_temperature()),
    }
    if ensemble is Ensemble.NPT:
        stress = atoms.get_stress(voigt=False, include_ideal_gas=True)
        frame.info["measured_bar"] = float(-np.trace(stress) / 3 / units.bar)
    frame.wrap()
    return frame


def _keep_brink(frames: list[Atoms], brink: Atoms) -> None:
    """Mark the last sound frame, and keep it if it is no sample: near it the model is wrong."""
    brink.info["brink"] = True
    if not frames or frames[-1] is not brink:
        frames.append(brink)


def _newest(outcome: TrajectoryOutcome) -> Atoms | None:
    """Return the frame of the step that it has come to, if that is a sample."""
    newest = outcome.frames[-1] if outcome.frames else None
    return newest if newest is not None and newest.info["step"] == outcome.steps_done else None


def run_trajectory(
    start: Atoms,
    calculator: Calculator,
    task: MdTask,
    name: str,
    min_distance_factor: float,
    stopping: threading.Event,
    on_step: Callable[[int], None],
    take: Callable[[Atoms], None] | None = None,
    kept: Kept = NOT_KEPT,
) -> TrajectoryOutcome:
    """Run one trajectory and keep a frame every `task.sample_every` steps.

    Parameters
    ----------
    start
        Start structure; not changed. A slab (info `slab`) and a molecule keep their cell.
    calculator
        The exploring model.
    task
        Conditions and seed.
    name
        Unique name of the trajectory, kept in every frame.
    min_distance_factor
        See `geometry_fault`; frames that fail it are dropped and end the trajectory.
    stopping
        When set, the trajectory ends at the next check.
    on_step
        Called with the step now and then.
    take
        Called with each frame in place of keeping it: of a long trajectory they would fill the memory. Of these the
        outcome has the last sound one before an explosion only.
    kept
        Where it goes on, and how far it has come at every check.

    Returns
    -------
    TrajectoryOutcome
        Frames with info system, stratum, trajectory, step, potential_energy (eV, of the model), brink (true for the
        last one that was sound before an explosion), heating (false; see `drop_equilibration`), the start's
        reference_cell, measured_kelvin and, at constant pressure, measured_bar (both of that instant), and how it
        ended.
    """
    begun = kept.begun()
    if begun is not None and begun.state is None:
        return begun.outcome
    atoms = start.copy()
    atoms.calc = calculator
    ensemble = Ensemble.NVT if keeps_its_cell(start) and task.ensemble is Ensemble.NPT else task.ensemble
    fault_of_start = fault(atoms, task, min_distance_factor, start)
    if fault_of_start is not None:
        return TrajectoryOutcome(exploded_at_step=0, reason=fault_of_start)
    begun_ev = atoms.get_potential_energy()
    dynamics = make_dynamics(atoms, task, ensemble)
    outcome = TrajectoryOutcome()
    if begun is not None and begun.state is not None:
        outcome, begun_ev = begun.outcome, begun.state.begun_ev
        begun.state.restore(dynamics)
    brink = _newest(outcome) or _snapshot(atoms, task, ensemble, name, outcome.steps_done)
    keep = outcome.frames.append if take is None else take
    stride = min(CHECK_EVERY_STEPS, task.sample_every)
    while outcome.steps_done < task.steps and not stopping.is_set():
        # checks and samples share one grid: the next check is never beyond the next sample
        to_sample = task.sample_every - outcome.steps_done % task.sample_every
        chunk = min(stride, to_sample, task.steps - outcome.steps_done)
        outcome.reason = advance(dynamics, chunk, task, min_distance_factor, start)
        outcome.reason = outcome.reason or energy_fault(atoms, begun_ev, task, start)
        outcome.steps_done += chunk
        if outcome.reason is not None:
            outcome.exploded_at_step = outcome.steps_done
            _keep_brink(outcome.frames, brink)
            break
        brink = _snapshot(atoms, task, ensemble, name, outcome.steps_done)
        if outcome.steps_done % task.sample_every == 0:
            keep(brink)
        on_step(outcome.steps_done)
        if outcome.steps_done < task.steps:
            kept.reached(outcome, MdState.of(dynamics, begun_ev))
    if outcome.reason is not None or outcome.steps_done == task.steps:
        kept.reached(outcome, None)
    return outcome
