"""How far ABINIT's labels are from the end of the self-consistent cycle, by what ends it, and what each costs.

Every cell is computed by every criterion; the tightest one is what the others are compared with. Results are kept in a
file, so that an interrupted measurement goes on where it stopped. ABINIT runs in its image, on one core.

    scf_criterion.py --workdir build/scf-criterion
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from abinit_labels import run_abinit
from ase import Atoms
from ase.build import bulk, fcc100, molecule

from pfd_operator.contract.engine import AbinitEngine
from pfd_operator.contract.systems import Perturb
from pfd_worker.preparation.variations import perturbed, unvaried

CRITERIA = {
    "toldff 5e-5": {"toldff": 5e-5},
    "toldff 5e-6": {"toldff": 5e-6},
    "tolvrs 1e-4": {"tolvrs": 1e-4},
    "tolvrs 1e-5": {"tolvrs": 1e-5},
    "tolvrs 1e-6": {"tolvrs": 1e-6},
    "tolvrs 1e-8": {"tolvrs": 1e-8},
}
TIGHTEST = {"tolvrs": 1e-12}
PSEUDOPOTENTIALS = {
    element: f"Pseudodojo_nc_sr_04_pbe_standard_psp8/{element}.psp8" for element in ("Si", "Al", "H", "O")
}
STEP = re.compile(r"^ ETOT +(\d+)", re.M)


class Cell(NamedTuple):
    """What is computed, the sampling that suits it, and further variables."""

    atoms: Atoms
    k_spacing: float
    extra: dict[str, float] = {}

    def engine(self, criterion: dict[str, float]) -> AbinitEngine:
        """Return the silicon example's settings with another end of the cycle."""
        files = {symbol: PSEUDOPOTENTIALS[symbol] for symbol in set(self.atoms.symbols)}
        return AbinitEngine(
            cutoff_ev=250, k_spacing=self.k_spacing, pseudopotentials=files, extra={**self.extra, **criterion}
        )


def _varied(atoms: Atoms, **perturb: Any) -> Atoms:
    atoms.info = {"frame": 0}
    settings = Perturb(count=1, displacement=0.1, strain=0.03, **perturb)
    return perturbed(unvaried([atoms], settings, "cell"), settings, "cell", seed=7)[0]


def cells() -> dict[str, Cell]:
    """Return perturbed crystals, surfaces and a long metallic cell: what a charge sloshes in comes last."""
    silicon, aluminium = bulk("Si", cubic=True), bulk("Al", cubic=True)
    surface = {"slab": {"miller": [1, 0, 0], "layers": 1, "vacuum": 4.0}}
    layers = fcc100("Al", (1, 1, 4), vacuum=6.0, periodic=True)
    layers.rattle(0.1, seed=7)
    water = molecule("H2O", cell=[6.0, 6.0, 6.0], pbc=True)
    return {
        "Si8": Cell(_varied(silicon.copy()), 0.8),
        "Si7, a vacancy": Cell(_varied(silicon.copy(), vacancies=1), 0.8),
        "Si8, slab": Cell(_varied(silicon.copy(), **surface), 0.8),
        "Al1": Cell(_varied(bulk("Al")), 0.6),
        "H2O, 6 Å box": Cell(water, 2.0),
        "Al4, slab": Cell(layers, 0.6),
        "Al4, slab, diemac 1e6": Cell(layers, 0.6, {"diemac": 1e6}),
        "Al16, 16 Å long": Cell(_varied(aluminium, supercell=[1, 1, 4]), 0.8),
    }


def measure(workdir: Path) -> dict[str, Any]:
    """Run what has no result yet and return all results, keyed by cell and criterion."""
    file = workdir / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name, cell in cells().items():
        for label, criterion in {"tightest": TIGHTEST, **CRITERIA}.items():
            key = f"{name}: {label}"
            if key in results:
                continue
            frame, seconds = run_abinit(cell.atoms, cell.engine(criterion), workdir / "run")
            steps = [int(step) for step in STEP.findall((workdir / "run" / "run.abo").read_text())]
            results[key] = {
                "energy": frame.get_potential_energy(),
                "forces": frame.get_forces().tolist(),
                "virial": frame.info["virial"].tolist(),
                "steps": max(steps),
            }
            file.write_text(json.dumps(results))
            print(f"{key}: {max(steps)} steps, {seconds:.1f} s", flush=True)
    return results


def errors(found: dict[str, Any], tight: dict[str, Any]) -> tuple[float, float, float]:
    """Return the largest errors of forces (meV/Å), energy and virial (meV/atom)."""
    atoms = len(found["forces"])
    force = 1000 * np.abs(np.subtract(found["forces"], tight["forces"])).max()
    energy = 1000 * abs(found["energy"] - tight["energy"]) / atoms
    virial = 1000 * np.abs(np.subtract(found["virial"], tight["virial"])).max() / atoms
    return float(force), float(energy), float(virial)


def row(*cells: object) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(f'{cell:.2g}' if isinstance(cell, float) else str(cell) for cell in cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="folder of the calculations and their results")
    options = parser.parse_args(arguments)
    options.workdir.mkdir(parents=True, exist_ok=True)
    results = measure(options.workdir)
    print(row("ends by", "cell", "steps", "force (meV/Å)", "energy (meV/atom)", "virial (meV/atom)"))
    print(row(*["---"] * 6))
    for label in CRITERIA:
        found = {name: results[f"{name}: {label}"] for name in cells()}
        wrong = {name: errors(each, results[f"{name}: tightest"]) for name, each in found.items()}
        for name, figures in wrong.items():
            print(row(label, name, found[name]["steps"], *figures))
        largest = np.max(list(wrong.values()), axis=0).tolist()
        print(row(label, "all: sum, largest", sum(each["steps"] for each in found.values()), *largest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
