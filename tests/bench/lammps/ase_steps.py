"""Runs in the worker's image: times ASE's MD steps of an exported model, and writes the same cells for LAMMPS.

python -m bench.lammps.ase_steps FOLDER SIZE…
"""

import json
import sys
from pathlib import Path

from ase.io import read, write

from pfd_worker.acceptance.speed import measure_speed
from pfd_worker.acceptance.supercell import supercell_of_size
from pfd_worker.models.frozen import FrozenModel

folder, sizes = Path(sys.argv[1]), [int(size) for size in sys.argv[2:]]
structure = read(folder / "structure.extxyz")
elements = json.loads((folder / "card.json").read_text())["typeMap"]
model = FrozenModel(folder / "compressed.pth")
records = measure_speed({"ase": model.calculator()}, structure, sizes, steps=40)
for size in sizes:
    cell = supercell_of_size(structure, size)
    write(folder / f"{size}.data", cell, format="lammps-data", specorder=elements, masses=True, reduce_cell=True)
found = [{"asked": r.asked_atoms, "atoms": r.atoms, "ase_ms_per_step": r.median_ms_per_step} for r in records]
(folder / "ase.json").write_text(json.dumps({"elements": elements, "sizes": found}))
