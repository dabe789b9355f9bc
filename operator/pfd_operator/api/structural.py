"""From pydantic's JSON schema to the structural one that Kubernetes takes: no references, no null, all bounded."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_LONGEST_STRING = 1024
_LONGEST_LIST = 256
_LARGEST_MAP = 128
_BOUNDS = {"maxLength": _LONGEST_STRING, "maxItems": _LONGEST_LIST, "maxProperties": _LARGEST_MAP}
_KEPT = (
    "description",
    "pattern",
    "enum",
    "format",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "minProperties",
    "x-kubernetes-validations",
)


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's schema in the form of a CustomResourceDefinition."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _converted(schema, schema.get("$defs", {}))


def without_bounds(schema: Any) -> Any:
    """Return a schema without the bounds that were set here: they keep the cost of rules down, where rules read."""
    if isinstance(schema, list):
        return [without_bounds(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: without_bounds(value) for name, value in schema.items() if (name, value) not in _BOUNDS.items()}


def _converted(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _resolved(schema, definitions)
    variants = [variant for variant in schema.get("anyOf", []) if variant.get("type") != "null"]
    if len(variants) == 1:
        merged = {**_resolved(variants[0], definitions), **{k: v for k, v in schema.items() if k != "anyOf"}}
        return _converted(merged, definitions)
    result = {name: schema[name] for name in _KEPT if name in schema}
    if "description" in result:
        # the docstring of a class goes on for those who read the code
        result["description"] = result["description"].partition("\n\n")[0]
    if "const" in schema:
        result["enum"] = [schema["const"]]
    for bound in ("Minimum", "Maximum"):
        if f"exclusive{bound}" in schema:
            result[bound.lower()] = schema[f"exclusive{bound}"]
            result[f"exclusive{bound}"] = True
    if variants:
        # the only such union users write is a quantity: 2 or "2Gi"
        result["x-kubernetes-int-or-string"] = True
    elif "type" in schema:
        result["type"] = schema["type"]
        if schema["type"] in _TYPES:
            _TYPES[schema["type"]](schema, result, definitions)
    else:
        result["x-kubernetes-preserve-unknown-fields"] = True
    if schema.get("default") is not None:
        result["default"] = {} if isinstance(schema["default"], dict) else schema["default"]
    return result


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].rsplit("/", 1)[1]]
    return _resolved({**target, **{name: value for name, value in schema.items() if name != "$ref"}}, definitions)


def _object(schema: dict[str, Any], result: dict[str, Any], definitions: dict[str, Any]) -> None:
    if "properties" in schema:
        result["properties"] = {name: _converted(value, definitions) for name, value in schema["properties"].items()}
        if schema.get("required"):
            result["required"] = schema["required"]
        return
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and values:
        result["additionalProperties"] = _converted(values, definitions)
    else:
        result["x-kubernetes-preserve-unknown-fields"] = True
    result.setdefault("maxProperties", _LARGEST_MAP)


def _array(schema: dict[str, Any], result: dict[str, Any], definitions: dict[str, Any]) -> None:
    items = schema.get("items") or schema.get("prefixItems", [{}])[0]
    result["items"] = _converted(items, definitions)
    result.setdefault("maxItems", _LONGEST_LIST)
    key = next((name for name in ("name", "type") if name in result["items"].get("required", [])), None)
    if key is not None:
        result["x-kubernetes-list-type"] = "map"
        result["x-kubernetes-list-map-keys"] = [key]


def _string(schema: dict[str, Any], result: dict[str, Any], definitions: dict[str, Any]) -> None:
    if "enum" not in result and "format" not in result:
        result.setdefault("maxLength", _LONGEST_STRING)


_TYPES = {"object": _object, "array": _array, "string": _string}
