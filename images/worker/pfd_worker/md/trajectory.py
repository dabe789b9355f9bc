"""One MD trajectory: candidate frames at regular steps, and an early end when it explodes."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculationFailed, Calculator
from ase.md.md import MolecularDynamics

from pfd_operator.contract.exploration import Ensemble
from pfd_operator.contract.tasks import MdTask
from pfd_operator.contract.text import shortened
from pfd_worker.cells import reference_cell
from pfd_worker.frames import bare
from pfd_worker.md.cells import keeps_its_cell
from pfd_worker.md.dynamics import make_dynamics
from pfd_worker.selection.geometry import geometry_fault

CHECK_EVERY_STEPS = 20
_WORDS_MAX = 200
HOT_FACTOR = 5.0
HOT_MARGIN_KELVIN = 3000.0
"""A trajectory hotter than HOT_FACTOR·T + HOT_MARGIN_KELVIN gets its energy from a hole in the model."""
ENERGY_DEVIATION_EV_PER_ATOM = 3.0
"""From the start, besides the 3/2 kT that a cold crystal takes up and what pressure does: into a hole MD may fall so
slowly that the thermostat keeps it cool."""


@dataclass
class TrajectoryOutcome:
    """What one trajectory gave."""

    frames: list[Atoms] = field(default_factory=list)
    steps_done: int = 0
    exploded_at_step: int | None = None
    reason: str | None = None

    def drop_equilibration(self, steps: int) -> None:
        """Drop the frames of the first steps. If it exploded, mark them: they show where the model is wrong."""
        if self.exploded_at_step is None:
            self.frames = [frame for frame in self.frames if frame.info["step"] > steps]
        for frame in self.frames:
            frame.info["heating"] = frame.info["step"] <= steps

    def mean(self, measured: str) -> float | None:
        """Return the mean over the typical frames of what MD measured, by its name in their info; None without any."""
        typical = [frame.info for frame in self.frames if not (frame.info["brink"] or frame.info["heating"])]
        values = [info[measured] for info in typical if measured in info]
        return float(np.mean(values)) if values else None


def _fault(atoms: Atoms, task: MdTask, min_distance_factor: float, start: Atoms) -> str | None:
    try:
        finite = np.isfinite(atoms.get_potential_energy()) and np.isfinite(atoms.get_forces()).all()
    except CalculationFailed as error:
        return _calculator_failed(error)
    if not finite:
        return "energy or forces are not numbers"
    temperature = atoms.get_temperature()
    if not np.isfinite(temperature):
        return "velocities are not numbers"
    limit = HOT_FACTOR * task.temperature_kelvin + HOT_MARGIN_KELVIN
    if temperature > limit:
        return f"the temperature is {temperature:.0f} K, above {limit:.0f} K: the model creates energy"
    return geometry_fault(atoms, min_distance_factor, start)


def _energy_fault(atoms: Atoms, begun_ev: float, task: MdTask, start: Atoms) -> str | None:
    deviation = (atoms.get_potential_energy() - begun_ev) / len(atoms)
    # a bound: where a cell shrinks at once, the thermostat takes part of this away as heat
    work = (task.pressure_bar or 0.0) * units.bar * (start.cell.volume - atoms.cell.volume) / len(atoms)
    limit = ENERGY_DEVIATION_EV_PER_ATOM + 1.5 * units.kB * task.temperature_kelvin
    limit += max(math.copysign(1.0, deviation) * work, 0.0)
    if abs(deviation) <= limit:
        return None
    return f"the energy is {deviation:+.1f} eV per atom from that of its start, more than {limit:.1f}"


def _calculator_failed(error: CalculationFailed) -> str:
    """Return why a trajectory ends whose calculator gives up on a frame, as reference codes do that do not converge."""
    return f"the calculator failed: {shortened(' '.join(str(error).split()), _WORDS_MAX)}"


def advance(
    dynamics: MolecularDynamics,
    steps: int,
    task: MdTask,
    min_distance_factor: float,
    start: Atoms,
) -> str | None:
    """Go on by some steps.

    Parameters
    ----------
    start
        Where the MD began: its cell is what the cell is compared with.

    Returns
    -------
    str or None
        Why the trajectory exploded; None if it did not.
    """
    atoms = dynamics.atoms
    with np.errstate(all="ignore"):
        try:
            dynamics.run(steps)
        except CalculationFailed as error:
            return _calculator_failed(error)
        except (ValueError, ArithmeticError, RuntimeError, np.linalg.LinAlgError) as error:
            # with positions gone to infinity, neighbour lists and matrix functions fail in ways of their own; anything
            # else is a bug
            if geometry_fault(atoms, min_distance_factor, start) is None:
                raise
            return f"the integrator failed: {error}"
    return _fault(atoms, task, min_distance_factor, start)


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


def run_trajectory(
    start: Atoms,
    calculator: Calculator,
    task: MdTask,
    name: str,
    min_distance_factor: float,
    stopping: threading.Event,
    on_step: Callable[[int], None],
    take: Callable[[Atoms], None] | None = None,
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

    Returns
    -------
    TrajectoryOutcome
        Frames with info system, stratum, trajectory, step, potential_energy (eV, of the model), brink (true for the
        last one that was sound before an explosion), heating (false; see `drop_equilibration`), the start's
        reference_cell, measured_kelvin and, at constant pressure, measured_bar (both of that instant), and how it
        ended.
    """
    atoms = start.copy()
    atoms.calc = calculator
    ensemble = Ensemble.NVT if keeps_its_cell(start) and task.ensemble is Ensemble.NPT else task.ensemble
    outcome = TrajectoryOutcome(reason=_fault(atoms, task, min_distance_factor, start))
    if outcome.reason is not None:
        outcome.exploded_at_step = 0
        return outcome
    begun_ev = atoms.get_potential_energy()
    dynamics = make_dynamics(atoms, task, ensemble)
    brink = _snapshot(atoms, task, ensemble, name, 0)
    keep = outcome.frames.append if take is None else take
    stride = min(CHECK_EVERY_STEPS, task.sample_every)
    while outcome.steps_done < task.steps and not stopping.is_set():
        # checks and samples share one grid: the next check is never beyond the next sample
        to_sample = task.sample_every - outcome.steps_done % task.sample_every
        chunk = min(stride, to_sample, task.steps - outcome.steps_done)
        outcome.reason = advance(dynamics, chunk, task, min_distance_factor, start)
        outcome.reason = outcome.reason or _energy_fault(atoms, begun_ev, task, start)
        outcome.steps_done += chunk
        if outcome.reason is not None:
            outcome.exploded_at_step = outcome.steps_done
            _keep_brink(outcome.frames, brink)
            break
        brink = _snapshot(atoms, task, ensemble, name, outcome.steps_done)
        if outcome.steps_done % task.sample_every == 0:
            keep(brink)
        on_step(outcome.steps_done)
    return outcome
