"""How far ABINIT's labels of a material are from the next k-mesh and the next cutoff, and what they cost.

Runs every setting on the same hot frames and prints two tables. Results are kept in a file, so that an interrupted
measurement goes on where it stopped. ABINIT runs in its image, on one core.

    label_convergence.py --frames build/pretraining/Si-diamond-*K-?.extxyz --count 5 --workdir build/convergence \
        --pseudopotentials Si=Pseudodojo_nc_sr_04_pbe_standard_psp8/Si.psp8
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from abinit_labels import run_abinit
from ase import Atoms
from ase.io import read

from pfd_operator.contract.engine import AbinitEngine
from pfd_worker.labelers.k_points import k_mesh

CUTOFFS_EV = (200.0, 250.0, 300.0, 350.0, 400.0, 500.0)
CHEAP_CUTOFF_EV = 250.0
MESHES = ((0.8, False), (0.8, True), (0.5, False), (0.5, True), (0.35, True))


class Settings(NamedTuple):
    """What the accuracy is measured against; everything else stays."""

    cutoff_ev: float
    k_spacing: float
    k_shifted: bool

    def engine(self, pseudopotentials: dict[str, str]) -> AbinitEngine:
        """Return the settings as a FineTuneJob has them."""
        return AbinitEngine(**self._asdict(), pseudopotentials=pseudopotentials)


def key_of(settings: Settings, frame: int) -> str:
    """Return the name of one result in the file of results."""
    return f"{settings.cutoff_ev:g} {settings.k_spacing:g} {settings.k_shifted} {frame}"


def settings_to_run() -> list[Settings]:
    """Return all meshes at a cheap cutoff and all cutoffs at a cheap mesh: the errors hardly depend on each other."""
    meshes = [Settings(CHEAP_CUTOFF_EV, spacing, shifted) for spacing, shifted in MESHES]
    cutoffs = [Settings(cutoff, 0.8, True) for cutoff in CUTOFFS_EV if cutoff != CHEAP_CUTOFF_EV]
    return meshes + cutoffs


def hot_frames(paths: list[Path], count: int) -> list[Atoms]:
    """Return the last frame of `count` trajectories spread evenly over those given."""
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, count).round().astype(int)]
    frames = [read(path, index=-1) for path in chosen]
    return [frame for frame in frames if isinstance(frame, Atoms)]


def measure(frames: list[Atoms], options: argparse.Namespace) -> dict[str, Any]:
    """Run what has no result yet and return all results, keyed by settings and frame."""
    file = options.workdir / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    pseudopotentials = dict(pair.split("=") for pair in options.pseudopotentials)
    for i, frame in enumerate(frames):
        for settings in settings_to_run():
            key = key_of(settings, i)
            if key in results:
                continue
            engine = settings.engine(pseudopotentials)
            label, seconds = run_abinit(frame, engine, options.workdir / "run")
            results[key] = {
                "energy": label.get_potential_energy(),
                "forces": label.get_forces().tolist(),
                "virial": label.info["virial"].tolist(),
                "seconds": seconds,
                "mesh": k_mesh(frame.cell.array, settings.k_spacing),
            }
            file.write_text(json.dumps(results))
            print(i, settings, f"{seconds:.1f} s", flush=True)
    return results


def differences(results: dict[str, Any], frames: int, settings: Settings, reference: Settings) -> tuple[float, ...]:
    """Return RMS differences of forces (eV/Å), energies (offset removed) and virials (meV/atom), and seconds."""
    pairs = [
        (results[key_of(settings, i)], results[key_of(reference, i)])
        for i in range(frames)
        if key_of(reference, i) in results
    ]
    atoms = len(pairs[0][0]["forces"])
    forces = np.concatenate([np.subtract(a["forces"], b["forces"]).ravel() for a, b in pairs])
    energies = np.array([a["energy"] - b["energy"] for a, b in pairs]) / atoms * 1000
    virials = np.concatenate([np.subtract(a["virial"], b["virial"]).ravel() for a, b in pairs]) / atoms * 1000
    seconds = float(np.median([a["seconds"] for a, _ in pairs]))
    return float(np.sqrt(np.mean(forces**2))), float(np.std(energies)), float(np.sqrt(np.mean(virials**2))), seconds


def table(results: dict[str, Any], frames: int) -> str:
    """Return the two tables, of meshes and of cutoffs, each against its finest member."""
    head = "| k-spacing (1/Å) | shifted | mesh | cutoff (eV) "
    head += "| Δ force (eV/Å) | Δ energy (meV/atom) | Δ virial (meV/atom) | s |\n"
    head += "|---|---|---|---|---|---|---|---|\n"
    finest_mesh = Settings(CHEAP_CUTOFF_EV, *MESHES[-1])
    finest_cutoff = Settings(CUTOFFS_EV[-1], 0.8, True)
    meshes = [Settings(CHEAP_CUTOFF_EV, *mesh) for mesh in MESHES]
    cutoffs = [Settings(cutoff, 0.8, True) for cutoff in CUTOFFS_EV]
    text = ""
    for name, rows, reference in (("k-mesh", meshes, finest_mesh), ("cutoff", cutoffs, finest_cutoff)):
        text += f"## {name}, against the finest\n\n{head}"
        for settings in rows:
            force, energy, virial, seconds = differences(results, frames, settings, reference)
            mesh = "×".join(str(n) for n in results[key_of(settings, 0)]["mesh"])
            shifted = "yes" if settings.k_shifted else "no"
            text += f"| {settings.k_spacing:g} | {shifted} | {mesh} | {settings.cutoff_ev:g} "
            text += f"| {force:.3f} | {energy:.2f} | {virial:.1f} | {seconds:.1f} |\n"
        text += "\n"
    return text


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, nargs="+", required=True, help="trajectories (extended XYZ)")
    parser.add_argument("--count", type=int, default=5, help="number of frames")
    parser.add_argument("--workdir", type=Path, required=True, help="folder of the calculations and their results")
    parser.add_argument("--pseudopotentials", nargs="+", required=True, help="ELEMENT=FILE …")
    options = parser.parse_args(arguments)
    options.workdir.mkdir(parents=True, exist_ok=True)
    frames = hot_frames(options.frames, options.count)
    results = measure(frames, options)
    print(table(results, len(frames)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
