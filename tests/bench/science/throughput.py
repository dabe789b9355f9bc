"""How long filtering and selection take: distance filters of ours and PFD-kit's, selection among very many frames.

Candidates are random features; what they mean does not change the work. Each selection runs in a process of its own,
so that its peak of memory is its own.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.data import covalent_radii

from pfd_operator.contract.selection import NoveltyMeasure
from pfd_worker.selection.choice import choose_frames
from pfd_worker.selection.geometry import geometry_fault
from pfd_worker.selection.representative import Candidate
from pfd_worker.selection.training_set import TrainingSet

REPEATS = {32: (2, 2, 1), 64: (2, 2, 2), 128: (4, 2, 2)}
FRAMES_FILTERED = 1000
PEER_FRAMES = {32: 10, 64: 4, 128: 2}
"""Few, as one frame takes it seconds."""
MIN_DISTANCE_FACTOR = 0.6
WIDTH = 256
"""Features of a frame: mean and spread of 64 descriptors for two elements."""
CHOSEN = 60
LABELLED = 300
STRATA = 24
FRAMES_OF_A_TRAJECTORY = 500


def filter_ms_per_frame() -> dict[int, dict[str, float]]:
    """Return milliseconds per frame by number of atoms: ours, all checks as in MD, and PFD-kit's of distances alone."""
    found = {}
    for atoms, repeat in REPEATS.items():
        crystal = bulk("NaCl", "rocksalt", a=5.69, cubic=True).repeat(repeat)
        frames = [_rattled(crystal, seed) for seed in range(FRAMES_FILTERED)]
        peers = frames[: PEER_FRAMES[atoms]]
        found[atoms] = {
            "ours": _ms(lambda frames=frames: [geometry_fault(frame, MIN_DISTANCE_FACTOR) for frame in frames])
            / len(frames),
            "pfdkit": _ms(lambda peers=peers: [pfdkit_distances_hold(frame) for frame in peers]) / len(peers),
        }
    return found


def pfdkit_distances_hold(atoms: Atoms) -> bool:
    """Return what PFD-kit 0.10.11's DistanceConfFilter does: all pairs of a 2×2×2 supercell, in a loop."""
    supercell = make_supercell(atoms, 2 * np.eye(3, dtype=int))
    allowed = {number: MIN_DISTANCE_FACTOR * covalent_radii[number] for number in set(supercell.numbers)}
    numbers = supercell.numbers
    distances = supercell.get_all_distances(mic=True)
    for i in range(distances.shape[0]):
        for j in range(i + 1, distances.shape[0]):
            if distances[i, j] < allowed[numbers[i]] + allowed[numbers[j]]:
                return False
    return True


def selection(candidates: int) -> dict[str, float]:
    """Return seconds to choose 60 of so many candidates, features given, and the process's peak of memory in MiB."""
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        return workers.apply(_select, (candidates,))


def _select(candidates: int) -> dict[str, float]:
    rng = np.random.default_rng(7)
    features = np.empty((candidates, WIDTH), dtype=np.float32)
    for begin in range(0, candidates, 10_000):
        part = features[begin : begin + 10_000]
        part[:] = rng.standard_normal(part.shape, dtype=np.float32)
    labelled = rng.standard_normal((LABELLED, WIDTH), dtype=np.float32)
    known = TrainingSet(labelled, np.arange(LABELLED), np.ones(LABELLED, dtype=bool))
    rows = [
        Candidate(f"s{n // FRAMES_OF_A_TRAJECTORY % STRATA}", f"t{n // FRAMES_OF_A_TRAJECTORY}", n)
        for n in range(candidates)
    ]
    begun = time.perf_counter()
    chosen = choose_frames(rows, CHOSEN, CHOSEN // 2, 0, NoveltyMeasure.DISTANCE, features, known, seed=7)
    seconds = time.perf_counter() - begun
    if len(chosen.samplings) != CHOSEN:
        raise ValueError(f"{len(chosen.samplings)} frames were chosen")
    return {"seconds": seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _rattled(crystal: Atoms, seed: int) -> Atoms:
    atoms = crystal.copy()
    atoms.rattle(0.1, seed=seed)
    return atoms


def _ms(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begun)


def measure(candidates: tuple[int, ...]) -> Mapping[str, Any]:
    """Return the part of science.json that is about time and memory."""
    chosen = {count: selection(count) for count in candidates}
    return {
        "filter_ms_per_frame": filter_ms_per_frame(),
        "select_seconds": {count: found["seconds"] for count, found in chosen.items()},
        "select_peak_mib": {count: found["peak_mib"] for count, found in chosen.items()},
    }
