"""The order in which PFD-kit's entropy greedy takes the frames of a pool. Runs where `quests` is installed.

As in its `h_filter` (0.10.11), with the parameters published there: the first ten at random, then ten at a time, those
whose atoms' differential entropies against all that were taken add up to the most. Sums of the kernel over the frames
taken are kept from chunk to chunk, where PFD-kit computes them anew; the order is the same.

    entropy_order.py --folder build/science --seeds 5 salt alloy oxide
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from numpy.typing import NDArray
from quests.descriptor import get_descriptors
from quests.entropy import kernel_sum

NEIGHBOURS = 32
CUTOFF_ANGSTROM = 5.0
BANDWIDTH = 0.015
CHUNK = 10
BATCH = 10_000


def entropy_order(pool: list[Atoms], seed: int) -> list[int]:
    """Return the rows of all frames in the order they are taken."""
    descriptors = get_descriptors(pool, k=NEIGHBOURS, cutoff=CUTOFF_ANGSTROM, dtype="float32").astype(np.float64)
    sizes = np.array([len(atoms) for atoms in pool])
    first_atom = np.cumsum(sizes) - sizes
    order = [int(row) for row in np.random.default_rng(seed).choice(len(pool), CHUNK, replace=False)]
    sums = np.zeros(len(descriptors))
    newest: list[int] = order
    while len(order) < len(pool):
        taken = np.concatenate([np.arange(first_atom[row], first_atom[row] + sizes[row]) for row in newest])
        sums += kernel_sum(descriptors, descriptors[taken], h=BANDWIDTH, batch_size=BATCH)
        newest = _most(np.add.reduceat(-_log(sums), first_atom), set(order))
        order = order + newest
    return order


def _log(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(sums, np.finfo(float).tiny))


def _most(entropies: NDArray[np.float64], taken: set[int]) -> list[int]:
    ranked = np.argsort(-entropies, kind="stable")
    return [int(row) for row in ranked if int(row) not in taken][:CHUNK]


def main(arguments: list[str] | None = None) -> int:
    """Write entropy-SEED.json into the folder of every pool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of build.py")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("names", nargs="+", help="of pools")
    options = parser.parse_args(arguments)
    for name in options.names:
        folder: Path = options.folder / name
        pool = [atoms for path in sorted(folder.glob("pool-*.extxyz")) for atoms in read(path, ":")]
        for seed in range(options.seeds):
            path = folder / f"entropy-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(entropy_order(pool, seed)))
                print(path, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
