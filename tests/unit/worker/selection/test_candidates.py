"""Candidates: what explore writes of its frames is what select reads."""

from __future__ import annotations

import json
from dataclasses import asdict

from ase.build import bulk

from pfd_worker.selection.representative import Candidate


def test_what_explore_writes_of_a_frame_is_read() -> None:
    atoms = bulk("Si", cubic=True)
    atoms.info = {"system": "si", "stratum": "si/300K", "trajectory": "t", "step": 10}
    atoms.info |= {"brink": False, "heating": False, "potential_energy": -40.0}
    candidate = Candidate.of(atoms)
    assert candidate == Candidate("si/300K", "t", 10, False, "si Si8", -5.0)
    assert Candidate(**json.loads(json.dumps(asdict(candidate)))) == candidate
