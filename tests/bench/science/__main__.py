"""Labels needed until a force error holds, by method, and what filtering and selection cost.

Writes build/bench/science.json. The subset: one pool, one seed, under two hours on two cores. The full run: all pools,
five seeds, up to a day; it goes on where it stopped, and adds its points to docs/benchmarks/science.

    make bench-science
    make bench-science BENCH='--full'
    make bench-science BENCH='--only throughput'
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.science.committed import unpack
from tests.bench.science.conditions import conditions
from tests.bench.science.points import ALL, read_points
from tests.bench.science.summary import needed, ratio, summary
from tests.bench.science.throughput import measure

ROOT = Path(__file__).resolve().parents[3]
HERE = "tests/bench/science"
COMMITTED = ROOT / "docs/benchmarks/science"
POOLS = ("salt", "alloy", "oxide")
SUBSET_POOL = "alloy"
SEEDS = 5
CANDIDATES = (100_000, 1_000_000)
PEERS = ("random", "quests")


def in_image(*command: str) -> None:
    """Run a script of this folder where deepmd-kit and SevenNet are."""
    environment = ["-e", "PYTHONPATH=/src/operator:/src/images/worker:/src:/src/hack/science"]
    runner = [str(ROOT / "hack/images/run-in.sh"), *environment, "worker-test-deps", "python"]
    subprocess.run([*runner, *command], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)


def find_points(pools: tuple[str, ...], seeds: int, results: Path, quests_python: str) -> None:
    """Run all methods on the committed pools."""
    folder = "build/science"
    unpack(ROOT / folder)
    order = [quests_python, f"{HERE}/entropy_order.py", "--folder", folder, "--seeds", str(seeds), *pools]
    subprocess.run(order, cwd=ROOT, check=True, env={**os.environ, "PYTHONPATH": ""})
    place = str(results.relative_to(ROOT))
    in_image(f"{HERE}/curves.py", "--folder", folder, "--results", place, "--seeds", str(seeds), *pools)


def labels(pools: tuple[str, ...], results: Path) -> dict[str, Any]:
    """Return the part of science.json that is about labels."""
    points = {name: read_points(results / f"{name}.jsonl", conditions()) for name in pools}
    # a pool is measured from where its targets are known
    whole = {
        name: max(p.labels for p in found) for name, found in points.items() if any(p.method == ALL for p in found)
    }
    found = {name: needed(points[name], whole[name]) for name in whole}
    compared = {
        criterion: {peer: ratio([of.get(criterion, {}) for of in found.values()], "ours", peer) for peer in PEERS}
        for criterion in ("overall", "every_stratum")
    }
    return {"pools": {name: summary(points[name], whole[name]) for name in whole}, "ours_over": compared}


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for, print and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all pools and seeds; results join the committed ones")
    parser.add_argument("--only", choices=["labels", "throughput"], help="one part")
    parser.add_argument("--quests-python", default=sys.executable, help="a Python that has quests")
    options = parser.parse_args(arguments)
    results = COMMITTED if options.full else ROOT / "build/science/subset"
    pools, seeds = (POOLS, SEEDS) if options.full else ((SUBSET_POOL,), 1)
    found: dict[str, Any] = {}
    if options.only != "throughput":
        found |= {"conditions": conditions(), "seeds": seeds}
        results.mkdir(parents=True, exist_ok=True)
        find_points(pools, seeds, results, options.quests_python)
        found |= labels(pools, results)
    if options.only != "labels":
        found |= measure(CANDIDATES)
    path = ROOT / "build/bench/science.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # one part leaves what the file says of the other
    before = json.loads(path.read_text()) if options.only and path.exists() else {}
    text = json.dumps(before | found, indent=1)
    path.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
