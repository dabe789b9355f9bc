"""How far an example's labels are from those of the next k-mesh and the next cutoff, on frames of its own hold-out.

Needs the finished job in the cluster, whose hold-out is taken (make demo), and the engine's image. Writes
build/bench/labels.json.

    make bench-labels BENCH='--frames 5'
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from abinit_labels import run_abinit
from ase import Atoms
from drive import BUCKET, job, object_store, stage_manifest

from pfd_operator.contract.engine import AbinitEngine
from pfd_worker.frames import read_frames
from pfd_worker.labelers.k_points import k_mesh

ROOT = Path(__file__).resolve().parents[3]
CUTOFF_STEP = 1.2
LIMIT_EV_PER_ANGSTROM = 0.05


class Step(NamedTuple):
    """A frame's labels against those of one finer setting."""

    frame: str
    finer: str
    force_rms: float
    """In eV/Å."""
    energy_per_atom: float
    """In eV; a constant part is no error of a model."""
    virial_rms_per_atom: float
    """In eV."""
    seconds: float
    finer_seconds: float


def next_mesh(atoms: Atoms, engine: AbinitEngine) -> AbinitEngine:
    """Return the settings whose mesh is the next finer one in every direction."""
    present = k_mesh(atoms.cell.array, engine.k_spacing)
    spacing = engine.k_spacing
    while any(new <= old for new, old in zip(k_mesh(atoms.cell.array, spacing), present, strict=True)):
        spacing *= 0.99
    return engine.model_copy(update={"k_spacing": spacing})


def compare(atoms: Atoms, name: str, engine: AbinitEngine, workdir: Path) -> list[Step]:
    """Label one frame as the example does, and with each finer setting."""
    mesh = next_mesh(atoms, engine)
    cutoff = engine.model_copy(update={"cutoff_ev": CUTOFF_STEP * engine.cutoff_ev})
    divisions = "×".join(str(number) for number in k_mesh(atoms.cell.array, mesh.k_spacing))
    finer = {f"k-mesh {divisions}": mesh, f"cutoff {cutoff.cutoff_ev:g} eV": cutoff}
    ours, seconds = run_abinit(atoms, engine, workdir)
    steps = []
    for what, settings in finer.items():
        better, finer_seconds = run_abinit(atoms, settings, workdir)
        forces, virial = (a - b for a, b in zip(_vectors(ours), _vectors(better), strict=True))
        energy = (ours.get_potential_energy() - better.get_potential_energy()) / len(atoms)
        steps.append(Step(name, what, _rms(forces), energy, _rms(virial) / len(atoms), seconds, finer_seconds))
        print(f"{name}  {what}: forces {_rms(forces):.4f} eV/Å, energy {energy:.5f} eV/atom", flush=True)
    return steps


def _vectors(atoms: Atoms) -> tuple[Any, Any]:
    return atoms.get_forces(), np.asarray(atoms.info["virial"])


def _rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def holdout_of(name: str, namespace: str, workdir: Path) -> list[Atoms]:
    """Return the frozen hold-out of a FineTuneJob, out of the cluster's store."""
    found = job("finetunejob", name, namespace)
    prefix = found["spec"]["artifacts"]["s3"]["prefix"]
    path = workdir / "holdout.extxyz"
    with object_store() as s3:
        files = stage_manifest(s3, prefix, found["status"]["inputs"]["train"]["digest"])["files"]
        s3.download_file(BUCKET, f"{prefix}/{files['holdout.extxyz']['key']}", str(path))
    return read_frames(path)


def main() -> int:
    """Compare, print and write; the exit code says whether every step is small enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5, help="how many of the hold-out's frames (default 5)")
    parser.add_argument("--example", type=Path, default=ROOT / "examples" / "silicon" / "finetune.yaml")
    parser.add_argument("--namespace", default="pfd-demo")
    options = parser.parse_args()
    manifest = yaml.safe_load(options.example.read_text())
    engine = AbinitEngine.model_validate(manifest["spec"]["labeling"]["engine"]["abinit"])
    output = ROOT / "build" / "bench"
    workdir = output / "labels"
    workdir.mkdir(parents=True, exist_ok=True)
    frames = holdout_of(manifest["metadata"]["name"], options.namespace, workdir)
    chosen = np.linspace(0, len(frames) - 1, options.frames).round().astype(int)
    steps = []
    for row in chosen:
        steps += compare(frames[row], f"hold-out {row}, {frames[row].info['stratum']}", engine, workdir / "run")
    worst = max(step.force_rms for step in steps)
    result = {
        "limit_ev_per_angstrom": LIMIT_EV_PER_ANGSTROM,
        "worst_force_rms_ev_per_angstrom": worst,
        "steps": [step._asdict() for step in steps],
    }
    (output / "labels.json").write_text(json.dumps(result, indent=1))
    print(f"worst of {len(chosen)} frames: {worst:.4f} eV/Å; limit {LIMIT_EV_PER_ANGSTROM:g}")
    return 0 if worst <= LIMIT_EV_PER_ANGSTROM else 1


if __name__ == "__main__":
    sys.exit(main())
