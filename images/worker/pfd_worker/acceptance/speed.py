"""How fast models are beside each other: one MD engine, one run, the models taking turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from ase import Atoms
from ase.calculators.calculator import Calculator

from pfd_worker.acceptance.memory import MemoryForecast, memory_limit
from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.acceptance.timed_run import SpeedRecord, TimedRun, properties_of_a_step

TIMED_STEPS = 20
"""Of which the median is taken, where there is time for them."""
TURN_STEPS = 5
"""Steps a model runs in one turn. Not 1: the step after another model's finds the processor's caches emptied by it."""


def measure_speed(
    models: Mapping[str, Calculator],
    base: Atoms,
    sizes: Sequence[int] = (108, 500, 4000),
    steps: int = TIMED_STEPS,
    warmup: int = 3,
    seed: int = 0,
    limit_seconds: float = 60.0,
    stopping: threading.Event | None = None,
    on_size: Callable[[int], None] = lambda atoms: None,
) -> list[SpeedRecord]:
    """Time MD steps of several models on supercells of one structure.

    Every model runs velocity Verlet at 1 fs from the same positions and the same velocities (300 K); every step
    computes energy, forces and, of what is periodic in all directions, stress in one evaluation. The models are warmed
    up one by one and then take turns of 5 steps, so that whatever else the machine does hits all alike. Threads and
    precision are those of the process and of the models.

    Parameters
    ----------
    models
        Name → ASE calculator with energy, forces and, of what is periodic in all directions, stress.
    base
        Structure of which supercells are made; see `supercell_of_size`.
    sizes
        Numbers of atoms asked for.
    steps
        Timed steps of each model at each size.
    warmup
        Steps before them, which include compilation and neighbour-list set-up.
    seed
        Of the velocities.
    limit_seconds
        Time for one model at one size, warm-up included. A model that reaches it ends with fewer steps, though never
        fewer than 3, and its record says so: it may overrun by three evaluations.
    stopping
        When set, no further turn is started.
    on_size
        Called with the number of atoms before a size is run.

    Returns
    -------
    list of SpeedRecord
        By size, then in the order of the models. A size that does not fit into memory is recorded as that, and so are
        larger ones.

    Raises
    ------
    ValueError
        If a calculator has not all that a step computes.
    """
    properties = properties_of_a_step(base)
    for name, calculator in models.items():
        missing = set(properties) - set(calculator.implemented_properties)
        if missing:
            raise ValueError(
                f"model {name}: its calculator has no {', '.join(sorted(missing))}, "
                f"so its MD steps are not those of a model that has; only {properties} together are timed"
            )
    stopping = stopping or threading.Event()
    limit = memory_limit()
    forecasts = {name: MemoryForecast(limit) for name in models}
    too_large: dict[str, int] = {}
    records: list[SpeedRecord] = []
    for size in sorted(sizes):
        atoms = supercell_of_size(base, size)
        on_size(len(atoms))
        runs = {name: TimedRun(name, size, calculator, atoms, seed) for name, calculator in models.items()}
        for name, run in runs.items():
            if name in too_large:
                run.does_not_fit(f"not tried: {too_large[name]} atoms did not fit")
            elif not stopping.is_set():
                run.warm_up(warmup, limit_seconds, forecasts[name])
        _take_turns(list(runs.values()), steps, limit_seconds, stopping)
        too_large |= {name: len(atoms) for name, run in runs.items() if not run.fits and name not in too_large}
        records += [run.record(steps) for run in runs.values()]
    return records


def _take_turns(runs: Sequence[TimedRun], steps: int, limit_seconds: float, stopping: threading.Event) -> None:
    while any(run.wants_more(steps, limit_seconds) for run in runs):
        for run in runs:
            for _ in range(TURN_STEPS):
                if stopping.is_set():
                    return
                if not run.wants_more(steps, limit_seconds) or not run.timed_step():
                    break


def speed_ups(records: Sequence[SpeedRecord], model: str, over: str) -> dict[int, float]:
    """Return how many times faster one model is than another, by asked size; only where both were measured.

    Parameters
    ----------
    records
        Of one `measure_speed`.
    model
        The student.
    over
        The teacher.
    """
    medians = {(r.model, r.asked_atoms): r.median_ms_per_step for r in records}
    factors = {}
    for size in sorted({record.asked_atoms for record in records}):
        fast, slow = medians.get((model, size)), medians.get((over, size))
        if fast and slow:
            factors[size] = slow / fast
    return factors


def has_few_steps(record: SpeedRecord) -> bool:
    """Tell whether a model was timed, by fewer steps than meant."""
    return record.median_ms_per_step is not None and record.steps < TIMED_STEPS


def fewer_steps(records: Sequence[SpeedRecord], asked_atoms: int) -> str:
    """Return in words of which models fewer steps were timed at a size than meant; empty if of none."""
    few = [
        f"{record.steps} timed steps of the {record.model}"
        for record in records
        if record.asked_atoms == asked_atoms and has_few_steps(record)
    ]
    return f"by {' and '.join(few)}, not {TIMED_STEPS}" if few else ""


def cell_sizes(records: Sequence[SpeedRecord]) -> dict[int, int]:
    """Return how many atoms the cells had that were run for the sizes asked for."""
    return {record.asked_atoms: record.atoms for record in records}


def largest_cell(records: Sequence[SpeedRecord], model: str) -> int | None:
    """Return the atoms of the largest cell that a model ran, None if it ran none."""
    return max((r.atoms for r in records if r.model == model and r.median_ms_per_step is not None), default=None)
