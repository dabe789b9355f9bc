"""What the API server refuses of a pod is refused when the job is read, not when its last stage begins."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.api.pods import PodOverrides


@pytest.mark.parametrize(
    "resources",
    [
        {"requests": {"memory": "2Gi"}, "limits": {"memory": "2048Mi"}},
        {"requests": {"cpu": "1500m"}, "limits": {"cpu": 2}},
        {"requests": {"cpu": "1.5"}, "limits": {"cpu": "1500m"}},
        {"requests": {"memory": "1e9"}, "limits": {"memory": "1G"}},
        {"requests": {"memory": "1G"}, "limits": {"memory": "1Gi"}},
        {"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}},
        {"limits": {"nvidia.com/gpu": 1}},
        {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": 1}},
    ],
)
def test_resources_that_fit_together(resources: dict[str, Any]) -> None:
    PodOverrides.model_validate({"resources": resources})


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"requests": {"memory": "8Gi"}, "limits": {"memory": "4Gi"}}, "request of 8Gi is above the limit of 4Gi"),
        ({"requests": {"cpu": 2}, "limits": {"cpu": "1999m"}}, "request of 2 is above the limit of 1999m"),
        ({"requests": {"nvidia.com/gpu": 1}}, "nvidia.com/gpu needs a limit"),
        ({"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}}, "must be equal"),
        ({"requests": {"hugepages-2Mi": "2Mi"}, "limits": {"hugepages-2Mi": "4Mi"}}, "must be equal"),
        ({"requests": {"cpu": "two"}}, "cpu: 'two' is no quantity"),
    ],
)
def test_resources_that_do_not(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PodOverrides.model_validate({"resources": resources})


SPREAD = {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{**SPREAD, "maxSkew": 0}], "maxSkew"),
        ([{**SPREAD, "maxSkew": "1"}], "maxSkew"),
        ([{**SPREAD, "whenUnsatisfiable": "Never"}], "whenUnsatisfiable"),
        ([{**SPREAD, "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}], "minDomains go with"),
        ([{**SPREAD, "labelSelector": {"matchLabels": {"app": "another"}}}], "labelSelector"),
        ([SPREAD, {**SPREAD, "maxSkew": 2}], "two have the same topologyKey"),
    ],
)
def test_a_spread_that_kubernetes_or_the_operator_would_refuse(given: list[dict[str, Any]], words: str) -> None:
    PodOverrides.model_validate({"topologySpreadConstraints": [{**SPREAD, "minDomains": 2}]})
    with pytest.raises(ValidationError, match=words):
        PodOverrides.model_validate({"topologySpreadConstraints": given})


def test_a_toleration_has_the_types_of_kubernetes() -> None:
    toleration = {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}
    PodOverrides.model_validate({"tolerations": [toleration | {"tolerationSeconds": 60}]})
    with pytest.raises(ValidationError, match="tolerationSeconds"):
        PodOverrides.model_validate({"tolerations": [toleration | {"tolerationSeconds": "60"}]})
