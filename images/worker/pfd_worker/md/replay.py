"""AIMD trajectories run again by a model: from the same structure, with the same velocities, for as many steps.

What the model's MD would be like in equilibrium, a few steps of AIMD cannot tell. Where two trajectories have a common
start, they can differ by the model's forces only, and a few steps of both can be compared atom by atom.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.geometry import find_mic
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from pfd_operator.contract.exploration import Ensemble
from pfd_worker.frames import bare, read_frames, write_frames
from pfd_worker.md.cells import height
from pfd_worker.md.conditions import FS_PER_PS, Conditions
from pfd_worker.md.drift import MIN_DISTANCE_FACTOR
from pfd_worker.md.faults import advance
from pfd_worker.md.radial_distribution import (
    R_MAX_ANGSTROM,
    Pair,
    RadialDistribution,
    overlaps,
    radial_distribution,
)

MOST_STEPS = 1000
"""MD steps of all replays together: seconds on a GPU, and less than a training takes anywhere."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AimdRun:
    """One trajectory at constant energy, by the reference."""

    system: str
    timestep_fs: float
    temperature_kelvin: float
    """Of the velocities that it begins with."""
    frames: tuple[Atoms, ...]
    """At successive steps; the first one has its velocities."""


@dataclass(frozen=True)
class Replay:
    """The trajectories of one system beside those of a model."""

    system: str
    trajectories: int
    timestep_fs: float
    msd_reference: Floats
    """(n_steps + 1,), mean squared displacement from the start over atoms and trajectories, in Å²."""
    msd_model: Floats
    """(n_steps + 1,), in Å²."""
    distance: Floats
    """(n_steps + 1,), RMS distance between an atom of the model's and the same one of the reference's, in Å."""
    rdf_reference: RadialDistribution | None
    """Of all frames but the starts; None, see `note`."""
    rdf_model: RadialDistribution | None
    msd_of_elements: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """By element, of the reference and of the model, as above: an ion that moves among others that do not."""
    overlap: dict[Pair, float] = field(default_factory=dict)
    """See `md.radial_distribution.overlaps`."""
    note: str = ""
    """Why the model's MD ended early, or has no radial distribution function."""

    @property
    def time_fs(self) -> Floats:
        """Time since the start, (n_steps + 1,), in fs."""
        return np.asarray(self.timestep_fs * np.arange(len(self.distance)), dtype=np.float64)


def write_aimd(path: Path, runs: Sequence[AimdRun]) -> None:
    """Write trajectories so that `read_aimd` finds them."""
    frames = []
    for number, run in enumerate(runs):
        for atoms in run.frames:
            frame = bare(atoms)
            frame.set_momenta(atoms.get_momenta())
            about = {name: value for name, value in asdict(run).items() if name != "frames"}
            frame.info = {**about, "run": number}
            frames.append(frame)
    write_frames(path, frames)


def read_aimd(path: Path) -> list[AimdRun]:
    """Read what `write_aimd` wrote."""
    found = []
    for _, group in itertools.groupby(read_frames(path), key=lambda atoms: int(atoms.info["run"])):
        frames = tuple(group)
        about: dict[str, Any] = dict(frames[0].info)
        run = AimdRun(str(about["system"]), float(about["timestep_fs"]), float(about["temperature_kelvin"]), frames)
        found.append(run)
    return found


def replay(runs: Sequence[AimdRun], calculator: Calculator, stopping: threading.Event) -> list[Replay]:
    """Run the trajectories of every system again, as many of their steps as `MOST_STEPS` allows, and compare.

    Parameters
    ----------
    runs
        Of the reference.
    calculator
        The model.
    stopping
        When set, it ends at the next step, and what it returns is of no use.
    """
    by_system: dict[str, list[AimdRun]] = {}
    for run in runs:
        if len(run.frames) > 1:
            by_system.setdefault(run.system, []).append(run)
    found = []
    for system, mine in sorted(by_system.items()):
        left = max(1, MOST_STEPS // len(by_system))
        pairs: list[tuple[list[Atoms], list[Atoms]]] = []
        note = ""
        for run in mine:
            if not left:
                break
            steps = min(left, len(run.frames) - 1)
            frames, reason = _again(run, steps, calculator, stopping)
            if reason is not None:
                note = f"the model's MD ended after {len(frames) - 1} of {steps} steps: {reason}"
            pairs.append((list(run.frames[: len(frames)]), frames))
            left -= steps
        found.append(_compared(system, mine[0].timestep_fs, pairs, note))
    return found


def _again(
    run: AimdRun, steps: int, calculator: Calculator, stopping: threading.Event
) -> tuple[list[Atoms], str | None]:
    """Return the model's frames, the start included, and why there are fewer than asked for."""
    atoms = run.frames[0].copy()
    atoms.calc = calculator
    conditions = Conditions(Ensemble.NVE, run.temperature_kelvin, run.timestep_fs)
    task = conditions.task(steps * run.timestep_fs / FS_PER_PS, seed=0)
    dynamics = VelocityVerlet(atoms, run.timestep_fs * units.fs)
    frames = [bare(atoms)]
    for _ in range(steps):
        reason = advance(dynamics, 1, task, MIN_DISTANCE_FACTOR, run.frames[0])
        if reason is not None or stopping.is_set():
            return frames, reason
        frames.append(bare(atoms))
    return frames, None


def _compared(system: str, timestep_fs: float, pairs: Sequence[tuple[list[Atoms], list[Atoms]]], note: str) -> Replay:
    ways = [(_displacements(reference), _displacements(model)) for reference, model in pairs]
    # as long as the shortest: a mean over fewer and fewer trajectories would jump
    length = min(len(mine) for mine, _ in ways)
    reference, model = (np.concatenate([way[side][:length] for way in ways], axis=1) for side in (0, 1))
    symbols = np.array([symbol for frames, _ in pairs for symbol in frames[0].symbols])
    of_elements = {
        str(element): (_mean_square(reference[:, symbols == element]), _mean_square(model[:, symbols == element]))
        for element in np.unique(symbols)
    }
    later = [[atoms for pair in pairs for atoms in pair[side][1:]] for side in (0, 1)]
    # beyond a height of the cell an atom would meet its own images, which never move
    reach = min([R_MAX_ANGSTROM, *(height(atoms) for frames in later for atoms in frames)])
    distributions: list[RadialDistribution | None] = [None, None]
    overlap: dict[Pair, float] = {}
    try:
        one, other = (radial_distribution(frames, reach) for frames in later)
        overlap = overlaps(one, other)
        distributions = [one, other]
    except ValueError as error:
        note = note or f"no radial distribution function: {error}"
    return Replay(
        system=system,
        trajectories=len(pairs),
        timestep_fs=timestep_fs,
        msd_reference=_mean_square(reference),
        msd_model=_mean_square(model),
        msd_of_elements=of_elements,
        distance=np.sqrt(_mean_square(model - reference)),
        rdf_reference=distributions[0],
        rdf_model=distributions[1],
        overlap=overlap,
        note=note,
    )


def _displacements(frames: Sequence[Atoms]) -> Floats:
    """Return the way of every atom since the first frame, (n_frames, n_atoms, 3), in Å, across cell faces."""
    steps = [
        find_mic(after.positions - before.positions, before.cell, before.pbc)[0]
        for before, after in itertools.pairwise(frames)
    ]
    ways: Floats = np.cumsum([np.zeros_like(frames[0].positions), *steps], axis=0)
    return ways


def _mean_square(ways: Floats) -> Floats:
    squares: Floats = np.sum(ways**2, axis=2).mean(axis=1)
    return squares
