"""The definitions of both kinds, dumped and read once."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from pfd_operator.api.crd import rendered


@pytest.fixture(scope="session")
def definition_files() -> dict[str, str]:
    """File name → content."""
    return rendered()


@pytest.fixture(scope="session")
def spec_schemas(definition_files: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Plural → schema of the spec, as the API server reads it."""
    definitions = [yaml.load(text, yaml.CSafeLoader)["spec"] for text in definition_files.values()]
    return {
        definition["names"]["plural"]: definition["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for definition in definitions
    }
