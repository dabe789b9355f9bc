"""Where AIMD starts: trajectories dealt over the systems, compositions that zeros of energy need first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from pfd_operator.contract.digest import seed_of
from pfd_operator.contract.selection import Aimd, Apart
from pfd_operator.contract.strata import exact_number
from pfd_worker.cells import reference_cell
from pfd_worker.labelers.task import AimdSettings
from pfd_worker.selection.compositions import composition_of, independent
from pfd_worker.selection.quotas import fair_quotas
from pfd_worker.start_pools import by_system, training_starts


def aimd_starts(starts: Sequence[Atoms], aimd: Aimd, apart: Apart, seed: int) -> list[tuple[Atoms, AimdSettings]]:
    """Deal AIMD trajectories over the systems; each starts from another perturbed structure while there are such.

    Compositions that others are no mixtures of come first: no other label tells where the reference has their zero of
    energy. Of one step there are no more than structures: it is its start, and the same one again would be the same
    label.
    """
    starts_of = {system: training_starts(found, apart) for system, found in by_system(starts).items()}
    pools, needed = _in_turn(starts_of, seed)
    most = {system: len(pool) if aimd.steps == 1 else aimd.trajectories for system, pool in pools.items()}
    result = []
    for system, count in fair_quotas(most, aimd.trajectories, seed_of(seed, "aimd"), needed).items():
        pool = pools[system]
        for number in range(count):
            atoms = pool[number % len(pool)]
            stratum = f"{system}/{exact_number(aimd.temperature_kelvin)}K/aimd"
            drawn = seed_of(seed, "aimd", system, number)
            settings = AimdSettings(aimd.steps, aimd.temperature_kelvin, aimd.timestep_fs, drawn)
            result.append((_with_origin(atoms, system, stratum, f"aimd-{system}-{number:03d}"), settings))
    return result


def _in_turn(pools: Mapping[str, Sequence[Atoms]], seed: int) -> tuple[dict[str, list[Atoms]], dict[str, int]]:
    """Return the starts of each system in a seeded order, and how many of them have a composition that is needed.

    Those come first, each composition once.
    """
    needed = independent(composition_of(atoms) for pool in pools.values() for atoms in pool)
    turns, counts = {}, {}
    for system, pool in pools.items():
        drawn = [pool[int(row)] for row in np.random.default_rng(seed_of(seed, "aimd", system)).permutation(len(pool))]
        first = {composition_of(atoms): row for row, atoms in reversed(list(enumerate(drawn)))}
        ahead = sorted(row for composition, row in first.items() if composition in needed)
        needed -= set(first)
        turns[system] = [*(drawn[row] for row in ahead), *(a for row, a in enumerate(drawn) if row not in ahead)]
        counts[system] = len(ahead)
    return turns, counts


def _with_origin(atoms: Atoms, system: str, stratum: str, trajectory: str) -> Atoms:
    copy = atoms.copy()
    copy.info = {
        "system": system,
        "stratum": stratum,
        "trajectory": trajectory,
        "start": int(atoms.info["start"]),
        "reference_cell": reference_cell(atoms),
    }
    return copy
