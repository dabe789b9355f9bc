"""Runs in the worker's image: exports a student into the folder given, and writes what Python predicts with it."""

import json
import sys
from pathlib import Path

from pfd_operator.contract.exploration import Barostat
from pfd_worker.export.folder import export_model
from pfd_worker.frames import read_frames
from pfd_worker.models.frozen import FrozenModel
from tests.unit.worker.export.cards import full_card
from tests.unit.worker.export.tiny_student import make_alloy, make_student

folder = Path(sys.argv[1])
made = folder / "made"
made.mkdir(parents=True, exist_ok=True)
student = make_student(made)
written = export_model(folder, student, make_alloy(), full_card())
export_model(folder / "flexible", student, make_alloy(), full_card(barostat=Barostat.FLEXIBLE))
expected = {}
for name in ("frozen.pth", "compressed.pth"):
    (predicted,) = FrozenModel(written[name]).predict(read_frames(written["structure.extxyz"]))
    expected[name] = {"energy": predicted.energy, "forces": predicted.forces.tolist()}
(folder / "expected.json").write_text(json.dumps(expected))
