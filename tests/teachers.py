"""What a DistillJob may say of its teacher, and what it is told of what it may not."""

from __future__ import annotations

from typing import Any

FILE = {"uri": "s3://pfd/dpa2.pt"}
NAME = {"pretrained": "DPA-3.1-3M"}
JOB = {"fineTuneJob": {"name": "silicon"}}
CALCULATOR = {"calculator": {"calculator": "ase.calculators.emt:EMT"}}
BRANCH = {"branch": "Omat24"}
IMAGE = {"image": "mine:1"}
ONE = "exactly one of uri, pretrained, fineTuneJob, calculator is needed"
NO_BRANCH = "branch goes with uri or pretrained only"
TEACHERS: list[tuple[dict[str, Any], list[str]]] = [
    (FILE, []),
    (NAME, []),
    (JOB, []),
    (CALCULATOR, []),
    (FILE | BRANCH, []),
    (NAME | BRANCH, []),
    (JOB | BRANCH, [NO_BRANCH]),
    (CALCULATOR | BRANCH, [NO_BRANCH]),
    (CALCULATOR | IMAGE, []),
    (JOB | IMAGE, []),
    (BRANCH, [ONE, NO_BRANCH]),
    (FILE | NAME, [ONE]),
]
"""The teacher, and the messages of the rules that it breaks."""
