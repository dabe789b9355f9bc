"""Train on what each method chose until the targets hold. Runs in the worker's test image; goes on where it stopped.

Every point (pool, method, seed, number of labels) is a line of RESULTS/POOL.jsonl: force errors of the test set,
overall and by stratum. Only points found under the same conditions count. All methods go up from the fewest labels
until both targets hold, so that chance helps none more than another; where a model has a part in the choice, it is the
one trained on the choices before.

    curves.py --folder build/science --results docs/benchmarks/science --processes 2 salt alloy oxide
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from ase import Atoms

from pfd_worker.frames import Sampling, read_frames
from pfd_worker.training.weights import weigh
from tests.bench.science.conditions import TRAINING, conditions
from tests.bench.science.points import (
    ALL,
    FIRST_LABELS,
    METHODS,
    Point,
    read_points,
    schedule,
    target_of,
)

SEEDS_OF_THE_TARGET = 2


class Curves:
    """The points of one pool: those found already, and the means to find more."""

    def __init__(self, folder: Path, results: Path, name: str) -> None:
        self.folder = folder / name
        self.results = results / f"{name}.jsonl"
        self.start = folder / "pretrained.pt"
        self.pool, self.test = (self._frames(kind) for kind in ("pool", "test"))

    def points(self) -> list[Point]:
        """Return all that were found under these conditions, by any process."""
        return read_points(self.results, conditions())

    def point(self, method: str, seed: int, chosen: Sequence[int], added: Sequence[int] = ()) -> Point:
        """Return a point, trained now if it was not before."""
        for known in self.points():
            if (known.method, known.seed, known.labels) == (method, seed, len(chosen)):
                return known
        begun = time.monotonic()
        model = self.model(method, seed, chosen)
        overall, strata = _errors(model, self.test)
        found = Point(method, seed, len(chosen), overall, strata, round(time.monotonic() - begun), added, conditions())
        with self.results.open("a") as results:
            results.write(json.dumps(asdict(found)) + "\n")
        worst = max(strata, key=lambda name: strata[name])
        print(f"{self.folder.name} {method} {seed}: {found.labels} labels, {overall:.4f} eV/Å, "
              f"{worst} {strata[worst]:.3f}, {found.seconds} s", flush=True)  # fmt: skip
        return found

    def model(self, method: str, seed: int, chosen: Sequence[int]) -> Path:
        """Return the model trained on these rows, trained now if its file is gone; weighed as the operator does."""
        from tests.bench.science.learner import train

        path = self.folder / "models" / conditions() / f"{method}-{seed}-{len(chosen)}.pt"
        if not path.exists():
            frames = [self.pool[row] for row in chosen]
            if _chooses_as_the_operator(method):
                for atoms in frames:
                    atoms.info["sampling"] = Sampling.REPRESENTATIVE
                weigh(frames, Counter(atoms.info["stratum"] for atoms in self.pool))
            path.parent.mkdir(parents=True, exist_ok=True)
            train(self.start, frames, TRAINING, path, seed, scratch=method == "scratch")
        return path

    def search(self, method: str, seed: int) -> None:
        """Find how many labels the targets take with this method: from the fewest up, until both hold."""
        from tests.bench.science import choosers

        target = target_of(self.points())
        known = {point.labels: point for point in self.points() if (point.method, point.seed) == (method, seed)}
        choose = choosers.METHODS[method][0](self.pool, self.folder, seed)
        sees_models = _chooses_as_the_operator(method)
        chosen: list[int] = []
        for count in schedule(len(self.pool))[:-1]:
            if count in known and known[count].added:
                added = list(known[count].added)
            else:
                model = self.model(method, seed, chosen) if sees_models and chosen else self.start
                added = choose(chosen, count - len(chosen), model)
            chosen = chosen + added
            point = self.point(method, seed, chosen, added if sees_models else ())
            if max(target.excess(point).values()) <= 1.0:
                return

    def _frames(self, kind: str) -> list[Atoms]:
        return [atoms for path in sorted(self.folder.glob(f"{kind}-*.extxyz")) for atoms in read_frames(path)]


def _chooses_as_the_operator(method: str) -> bool:
    from tests.bench.science.choosers import METHODS

    return method in METHODS and METHODS[method][1]


def _errors(model: Path, test: Sequence[Atoms]) -> tuple[float, dict[str, float]]:
    from pfd_worker.evaluation.errors import by_stratum, force_rmse, frame_errors
    from pfd_worker.models.deepmd import DeepmdModel

    errors = frame_errors(test, DeepmdModel(model).predict(test))
    return force_rmse(errors), {name: force_rmse(members) for name, members in by_stratum(errors).items()}


def _reference(arguments: tuple[Path, Path, str, int]) -> None:
    folder, results, name, seed = arguments
    curves = Curves(folder, results, name)
    curves.point(ALL, seed, range(len(curves.pool)))
    curves.point("random", seed, np.random.default_rng(seed).permutation(len(curves.pool))[:FIRST_LABELS].tolist())


def _search(arguments: tuple[Path, Path, str, str, int]) -> None:
    folder, results, name, method, seed = arguments
    Curves(folder, results, name).search(method, seed)


def main(arguments: list[str] | None = None) -> int:
    """Find the targets, then every method's curves, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of build.py")
    parser.add_argument("--results", type=Path, required=True, help="folder of the points")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--methods", nargs="*", default=METHODS, help="which")
    parser.add_argument("--processes", type=int, default=2, help="one core each")
    parser.add_argument("names", nargs="+", help="of pools")
    options = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    folder, results = options.folder.resolve(), options.results.resolve()
    with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as workers:
        targets = [(folder, results, name, seed) for name in options.names for seed in range(SEEDS_OF_THE_TARGET)]
        workers.map(_reference, targets, chunksize=1)
        searches = [
            (folder, results, name, method, seed)
            for seed in range(options.seeds)
            for name in options.names
            for method in options.methods
        ]
        workers.map(_search, searches, chunksize=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
