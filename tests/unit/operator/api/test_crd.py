"""The generated definitions: small enough, and described where users read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pfd_operator.api.kinds import KINDS

LARGEST_BYTES = 90_000
"""`kubectl apply` keeps a copy in an annotation, of which an object has 262 144 bytes in all. A line about pods is
there once for each stage, so definitions grow quickly."""


def test_a_definition_is_small(definition_files: dict[str, str]) -> None:
    sizes = {name: len(text.encode()) for name, text in definition_files.items()}
    assert len(sizes) == len(KINDS)
    assert not {name: size for name, size in sizes.items() if size > LARGEST_BYTES}


def texts(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield the schema of every text that has a pattern."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema
        for inner in schema.values():
            yield from texts(inner)


def test_a_pattern_that_takes_no_empty_text_says_so_once(spec_schemas: dict[str, dict[str, Any]]) -> None:
    """Names are there by the dozen, once for each stage."""
    found = [text for schema in spec_schemas.values() for text in texts(schema)]
    assert len(found) > 50
    assert not [text for text in found if text.get("minLength") == 1 and not re.search(text["pattern"], "")]


def fields(schema: dict[str, Any], *path: str) -> dict[str, Any]:
    for step in path:
        schema = schema["properties"][step]
    found: dict[str, Any] = schema["properties"]
    return found


def leaves(schema: dict[str, Any], path: str, required: bool = True) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield path, schema and whether it must be given, of every list and every field without fields of its own."""
    if "properties" not in schema:
        yield path, schema, required
    inner = schema.get("items", {}) if schema.get("type") == "array" else schema
    union = [rule["message"] for rule in inner.get("x-kubernetes-validations", []) if " one of " in rule["message"]]
    for name, field in inner.get("properties", {}).items():
        # one of several is required, whichever it is
        wanted = name in inner.get("required", []) or any(re.search(rf"\b{name}\b", message) for message in union)
        yield from leaves(field, f"{path}.{name}", wanted)


def said_default(description: str) -> Any:
    """Return the value after `Default`, up to the end of its sentence or a remark on it."""
    found = re.search(r"Default (\[.*?\]|\{.*?\}|\S+?)(,|\.$|\. | |$)", description)
    assert found, description
    try:
        return float(found[1])
    except ValueError:
        return yaml.safe_load(found[1])


@pytest.mark.parametrize("plural", [kind.plural for kind in KINDS.values()])
def test_every_field_is_described_and_says_its_default(spec_schemas: dict[str, dict[str, Any]], plural: str) -> None:
    found = list(leaves(spec_schemas[plural], "spec"))
    assert len(found) > 100
    assert not [path for path, schema, _ in found if len(schema.get("description", "")) < 8]
    assert not [path for path, schema, required in found if not required and "Default" not in schema["description"]]
    for path, schema, _ in found:
        if schema.get("default") not in (None, "", [], {}):
            assert said_default(schema["description"]) == schema["default"], path


def test_columns_show_fields_that_there_are(definition_files: dict[str, str]) -> None:
    for text in definition_files.values():
        version = yaml.load(text, yaml.CSafeLoader)["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
        assert len(paths) > 10
        for path in paths:
            *parents, last = path.partition("[")[0].removeprefix(".").split(".")
            # the schema of metadata is the API server's own
            assert path == ".metadata.creationTimestamp" or last in fields(schema, *parents), path


def undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the path of every field of which `kubectl explain` says nothing."""
    for name, field in schema.get("properties", {}).items():
        if not field.get("description"):
            yield f"{path}.{name}"
        yield from undescribed(field, f"{path}.{name}")
    for inner, end in ((schema.get("items"), "[]"), (schema.get("additionalProperties"), "{}")):
        if isinstance(inner, dict):
            yield from undescribed(inner, f"{path}{end}")


@pytest.mark.parametrize("part", ["spec", "status"])
def test_kubectl_explains_every_field(definition_files: dict[str, str], part: str) -> None:
    for text in definition_files.values():
        version = yaml.load(text, yaml.CSafeLoader)["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]["properties"][part]
        assert list(undescribed(schema, part)) == []


@pytest.mark.parametrize("field", ["confidence", "everyStratum", "novelFraction", "explodedFraction"])
def test_limits_beside_errors_are_explained_and_asked_for_by_nobody_unasked(
    spec_schemas: dict[str, dict[str, Any]], field: str
) -> None:
    convergence = fields(spec_schemas["finetunejobs"], "convergence")
    assert "Default" in convergence[field]["description"]
    assert convergence[field].get("default", False) is False
    assert field not in fields(spec_schemas["distilljobs"], "acceptance")


def test_a_noise_check_is_explained(spec_schemas: dict[str, dict[str, Any]]) -> None:
    check = fields(spec_schemas["finetunejobs"], "labeling", "noiseCheck")
    assert check["frames"]["default"] == 4
    assert "cutoffEv" in check["settings"]["description"]
