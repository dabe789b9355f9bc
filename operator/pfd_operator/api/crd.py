"""CustomResourceDefinitions out of the pydantic models: one source for what is written, checked and explained.

`python -m pfd_operator.api.crd DIRECTORY` writes them; `--check` fails if what is there differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from .finetune import GROUP, MUTABLE_FIELDS, VERSION, FineTuneJobSpec
from .status import FineTuneJobStatus
from .structural import structural_schema

_COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("Phase", "string", ".status.phase", 0),
    ("Iteration", "integer", ".status.iteration", 0),
    ("Stage", "string", ".status.stage", 0),
    ("Progress", "string", ".status.progress", 0),
    ("Labels", "string", ".status.labels.shown", 0),
    ("Force-RMSE", "string", ".status.model.errors.forceRMSE", 0),
    ("Energy-RMSE", "string", ".status.model.errors.energyRMSEPerAtom", 1),
    ("Model", "string", ".status.model.uri", 1),
    ("Reason", "string", '.status.conditions[?(@.type=="Progressing")].reason', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)


def finetunejob_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of FineTuneJob."""
    return _definition("FineTuneJob", "ftj", FineTuneJobSpec, FineTuneJobStatus)


def _definition(kind: str, short: str, spec: type[BaseModel], status: type[BaseModel]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["pfd"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": kind_, "jsonPath": path, "priority": priority}
                        for name, kind_, path, priority in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": _root(spec, status)},
                }
            ],
        },
    }


def _root(spec: type[BaseModel], status: type[BaseModel]) -> dict[str, Any]:
    spec_schema = structural_schema(spec)
    spec_schema["x-kubernetes-validations"] = [
        *spec_schema.get("x-kubernetes-validations", []),
        {
            "rule": "self.aimd.trajectories * self.aimd.steps + self.holdout.frames <= self.budget.maxLabels",
            "message": "budget.maxLabels is less than aimd.trajectories × aimd.steps + holdout.frames, "
            "which the first iteration needs",
        },
        {
            "rule": "self.aimd.trajectories > 0 || self.data.size() > 0",
            "message": "aimd.trajectories = 0 leaves nothing to train on at first: give data, or let AIMD run",
        },
    ]
    return {
        "type": "object",
        "description": (spec.__doc__ or "").strip().splitlines()[0],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec_schema,
            "status": structural_schema(status),
        },
        # Here and not at the fields, because whether the job has started is in its status.
        "x-kubernetes-validations": [
            {
                "rule": "!has(oldSelf.status) || !has(oldSelf.status.specDigest) || "
                f"self.spec.{name} == oldSelf.spec.{name}",
                "message": f"spec.{name} cannot change once the job has started: make a new job, "
                "which reuses every label and finished stage",
            }
            for name in sorted(spec_schema["properties"])
            if name not in MUTABLE_FIELDS
        ],
    }


def rendered() -> dict[str, str]:
    """Return file name → content of every CRD."""
    # through JSON, so that no object is there twice and YAML needs no anchors
    plain = json.loads(json.dumps(finetunejob_crd()))
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)
    header = "# Generated from operator/pfd_operator/api by `make generate`. Do not edit.\n"
    return {f"{GROUP}_finetunejobs.yaml": header + text}


def main(arguments: list[str] | None = None) -> int:
    """Write or check the CRDs."""
    parser = argparse.ArgumentParser(prog="python -m pfd_operator.api.crd", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file differs")
    options = parser.parse_args(arguments)
    stale = []
    for name, content in rendered().items():
        path = options.directory / name
        if path.exists() and path.read_text() == content:
            continue
        stale.append(str(path))
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    for path in stale:
        print(f"{'stale' if options.check else 'wrote'} {path}")
    if options.check and stale:
        print("run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
