"""A value that is given as null, as a heading with every line below it commented out is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart_rendering import CHART, helm_template

EVERYTHING = (
    "crds.enabled=false,s3.enabled=true,networkPolicies.enabled=true,networkPolicies.jobNamespaces={lab},admissionPolicy.enabled=true,"
    "monitoring.serviceMonitor.enabled=true,monitoring.rules.enabled=true,monitoring.dashboard.enabled=true"
)


def paths(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        path = f"{above}{name}"
        yield path
        if isinstance(value, dict):
            yield from paths(value, f"{path}.")


def nulls(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from nulls(item, f"{path}.{name}")
    elif isinstance(value, list):
        for item in value:
            yield from nulls(item, f"{path}[]")
    elif value is None or value == "null":
        yield path


@pytest.mark.parametrize("path", paths(yaml.safe_load((CHART / "values.yaml").read_text())))
def test_null_is_refused_by_name_or_means_nothing_special(path: str) -> None:
    done = helm_template("--set", EVERYTHING, "--set", f"{path}=null")
    if done.returncode:
        said = (f"missing property '{path.rpartition('.')[2]}'", f"{path} is not set")
        assert any(words in done.stderr for words in said)
        return
    documents = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert not [place for each in documents for place in nulls(each, each["kind"])]
