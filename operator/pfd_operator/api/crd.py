"""CustomResourceDefinitions out of the pydantic models: one source for what is written, checked and explained.

`python -m pfd_operator.api.crd DIRECTORY` writes them; `--check` fails if what is there differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from .job import GROUP, MUTABLE_FIELDS, RESTART_FIELDS, VERSION, has_exceptions
from .kinds import KINDS, Kind
from .structural import structural_schema, without_bounds


def definition(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short],
                "categories": ["pfd"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": type_, "jsonPath": path, "priority": priority}
                        for name, type_, path, priority in kind.columns
                    ],
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def _root(kind: Kind) -> dict[str, Any]:
    spec_schema = structural_schema(kind.spec)
    spec_schema["x-kubernetes-validations"] = [*spec_schema.get("x-kubernetes-validations", []), *kind.rules]
    return {
        "type": "object",
        "description": (kind.spec.__doc__ or "").strip().splitlines()[0],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec_schema,
            # no rule reads further into it than whether there is a specDigest
            "status": without_bounds(structural_schema(kind.status)),
        },
        # Here and not at the fields, because whether the job has started is in its status.
        "x-kubernetes-validations": list(_freezing(spec_schema)),
    }


def _freezing(schema: Mapping[str, Any], *above: str) -> Iterator[dict[str, str]]:
    """Give the rules that fields of the spec do not change once the job has started: the largest that may not."""
    for name, child in sorted(schema["properties"].items()):
        field = ".".join((*above, name))
        always_there = "default" in child or name in schema.get("required", ())
        if has_exceptions(field):
            if not always_there:
                raise TypeError(f"{field} may be absent: no rule could read what is below it")
            yield from _freezing(child, *above, name)
        elif field not in MUTABLE_FIELDS:
            yield _frozen(field, always_there)


def _frozen(field: str, always_there: bool) -> dict[str, str]:
    """Return the rule that a field does not change once the job has started."""
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    # not by CEL's optional values: what they hold has no bound that the API server knows, and costs too much
    same = f"{new} == {old}" if always_there else f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"
    rule = f"!oldSelf.?status.specDigest.hasValue() || {same}"
    if field in RESTART_FIELDS:
        return {
            "rule": f"{rule} || !(self.spec.?restart.id.orValue('') in ['', oldSelf.?status.restartId.orValue('')])",
            "message": f"spec.{field} is frozen once started; change it with a new spec.restart.id",
        }
    message = (
        f"spec.{field} is frozen once started; a new job finds labels of equal structures, and takes others as data: "
        "docs/api.md, Labels of a former job"
    )
    return {"rule": rule, "message": message}


def rendered() -> dict[str, str]:
    """Return file name → content of every CRD."""
    header = "# Generated from operator/pfd_operator/api by `make generate`. Do not edit.\n"
    files = {}
    for kind in KINDS.values():
        # through JSON, so that no object is there twice and YAML needs no anchors
        plain = json.loads(json.dumps(definition(kind)))
        # a line for each field: a quarter less than with all keys on lines of their own, and easier to read
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=400, default_flow_style=None)
        files[f"{GROUP}_{kind.plural}.yaml"] = header + text
    return files


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
