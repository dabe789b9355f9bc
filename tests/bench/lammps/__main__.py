"""An exported student's MD step in LAMMPS beside the same step in ASE: one core each, one machine, one after the other.

Takes the exported model of a DistillJob that has ended in the cluster (make demo), or of a folder. NVE, velocities of
300 K, the virial at every step in both. Writes build/bench/lammps.json.

    make bench-lammps BENCH='--sizes 108 500 4000'
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from drive import job, object_store

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "bench" / "lammps"
INSIDE = Path("/src") / FOLDER.relative_to(ROOT)
FILES = ("compressed.pth", "structure.extxyz", "card.json")
THREADS = ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS")
WARMUP_STEPS = 20
STEPS = 200
INPUT = """\
units metal
boundary p p p
atom_style atomic
read_data {size}.data
pair_style deepmd compressed.pth
pair_coeff * * {elements}
neighbor 1.0 bin
timestep 0.001
velocity all create 300 7 mom yes rot no dist gaussian
fix integrate all nve
thermo_style custom step temp pe press
thermo 1
run {warmup}
run {steps}
"""


def download(name: str, namespace: str) -> None:
    """Fetch the exported folder's files that are needed."""
    uri = urlsplit(job("distilljob", name, namespace)["status"]["model"]["uri"])
    with object_store() as s3:
        for file in FILES:
            s3.download_file(uri.netloc, uri.path.lstrip("/").rpartition("/")[0] + f"/{file}", str(FOLDER / file))


def run_in(image: str, *command: str) -> str:
    """Run a command in an image on one core; return what it prints."""
    variables = [part for name in THREADS for part in ("-e", f"{name}=1")]
    program = [str(ROOT / "hack" / "images" / "run-in.sh"), *variables, image, "taskset", "-c", "0", *command]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(program)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def lammps_ms_per_step(size: int, elements: list[str]) -> float:
    """Return the mean of LAMMPS' second run."""
    text = INPUT.format(size=size, elements=" ".join(elements), warmup=WARMUP_STEPS, steps=STEPS)
    (FOLDER / "in.bench").write_text(text)
    output = run_in("lammps", "sh", "-c", f"cd {INSIDE} && lmp -in in.bench")
    loops = re.findall(r"Loop time of ([\d.]+) on 1 procs for (\d+) steps", output)
    return 1000 * float(loops[-1][0]) / int(loops[-1][1])


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="silicon-light", help="the DistillJob (default silicon-light)")
    parser.add_argument("--namespace", default="pfd-demo")
    parser.add_argument("--sizes", type=int, nargs="+", default=[108, 500, 4000], help="numbers of atoms")
    parser.add_argument("--folder", type=Path, help="an exported folder on this machine, instead of a job")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if options.folder is None:
        download(options.name, options.namespace)
    else:
        for file in FILES:
            shutil.copyfile(options.folder / file, FOLDER / file)
    paths = "PYTHONPATH=/src/operator:/src/images/worker:/src"
    asked = [str(size) for size in options.sizes]
    run_in("worker-test-deps", "env", paths, "python3", "-m", "tests.bench.lammps.ase_steps", str(INSIDE), *asked)
    measured = json.loads((FOLDER / "ase.json").read_text())
    print(f"{'atoms':>6}  {'ASE ms/step':>12}  {'LAMMPS ms/step':>14}  {'ratio':>5}")
    sizes = measured["sizes"]
    for number, row in enumerate(sizes):
        ase, lammps = row["ase_ms_per_step"], lammps_ms_per_step(row["asked"], measured["elements"])
        sizes[number] = {**row, "lammps_ms_per_step": lammps, "ratio": ase / lammps}
        print(f"{row['atoms']:6d}  {ase:12.2f}  {lammps:14.2f}  {ase / lammps:5.2f}")
    (FOLDER.parent / "lammps.json").write_text(json.dumps(sizes, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
