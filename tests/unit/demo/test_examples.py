"""The examples' manifests, as far as they can be checked without a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ase.io import read

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "hack" / "demo"))

from example import SPECS, images, is_job, with_values  # noqa: E402

EXAMPLES = sorted(path.parent for path in ROOT.glob("examples/*/kustomization.yaml"))


def kustomization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def jobs(folder: Path) -> list[dict[str, Any]]:
    manifests = [yaml.safe_load((folder / name).read_text()) for name in kustomization(folder)["resources"]]
    return [each for each in manifests if is_job(each)]


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_specs_are_valid_and_their_structures_are_there(folder: Path) -> None:
    keys = {
        (generator["name"], Path(file).name): folder / file
        for generator in kustomization(folder).get("configMapGenerator", [])
        for file in generator["files"]
    }
    used = set()
    for job in jobs(folder):
        spec = SPECS[job["kind"]].model_validate(job["spec"])
        for system in spec.systems:
            if system.structures.config_map is not None:
                used.add((system.structures.config_map.name, system.structures.config_map.key))
    assert used == set(keys), "every file of the ConfigMap is a system's, and every system has its file"
    for file in keys.values():
        assert read(file, index=":")


def test_an_example_has_the_images_its_jobs_need_and_no_others() -> None:
    needed = {folder.name: set(images(jobs(folder))) - {"operator", "worker", "s3"} for folder in EXAMPLES}
    assert needed == {
        "silicon": {"abinit"},
        "silicon-universal": {"abinit", "worker-sevennet"},
        "high-entropy-alloy": {"worker-sevennet"},
        "amorphous-carbon": {"worker-sevennet"},
        # its engine's image is the user's
        "vasp-alloy": set(),
    }


def test_fields_are_set_by_path() -> None:
    job = {"spec": {"selection": {"framesPerIteration": 90}, "teacher": {}}}
    with_values(job, ["spec.selection.representativeFraction=1", "spec.training.startFrom=LastRound"])
    assert job["spec"] == {
        "selection": {"framesPerIteration": 90, "representativeFraction": 1},
        "teacher": {},
        "training": {"startFrom": "LastRound"},
    }
