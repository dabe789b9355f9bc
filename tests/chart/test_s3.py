"""The S3 server of the chart: its keys, its pods and the Job that makes its bucket."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.chart_rendering import of_kind, refusal, render


def test_both_pods_of_s3_go_where_they_are_asked_to() -> None:
    toleration, affinity = {"key": "storage", "operator": "Exists"}, {"nodeAffinity": {}}
    resources = {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}}
    values = {"nodeSelector": {"disk": "ssd"}, "tolerations": [toleration], "affinity": affinity}
    given = {**values, "enabled": True, "bucketJob": {"resources": resources}}
    documents = render("--set-json", f"s3={json.dumps(given)}")
    (bucket,) = of_kind(documents, "Job")
    (server,) = (each for each in of_kind(documents, "Deployment") if each["metadata"]["name"] == "pfd-s3")
    for each in (bucket, server):
        pod = each["spec"]["template"]["spec"]
        assert {name: pod[name] for name in values} == values
    (container,) = bucket["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == resources["limits"]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}
    assert server["spec"]["template"]["spec"]["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


@pytest.mark.parametrize("name", ["pfd", "2026", "1e3", "2024.10"])
def test_a_bucket_may_have_a_name_that_yaml_reads_as_a_number(name: str) -> None:
    (bucket,) = of_kind(render("--set", "s3.enabled=true", "--set-string", f"s3.bucket={name}"), "Job")
    (container,) = bucket["spec"]["template"]["spec"]["containers"]
    assert container["args"][-1] == name


def s3_server(*arguments: str) -> dict[str, Any]:
    documents = of_kind(render("--set", "s3.enabled=true", *arguments), "Deployment")
    return dict(next(each for each in documents if each["metadata"]["name"] == "pfd-s3")["spec"]["template"])


def test_other_keys_restart_the_s3_server() -> None:
    keys = "s3.accessKey=a,s3.secretKey="
    assert s3_server("--set", f"{keys}b") == s3_server("--set", f"{keys}b")
    annotations = s3_server("--set", f"{keys}b")["metadata"]["annotations"]
    assert annotations != s3_server("--set", f"{keys}c")["metadata"]["annotations"]
    # a key that a person thought of must not be found by trying
    assert max(len(value) for value in annotations.values()) < 8


def test_keys_out_of_a_secret_of_ones_own() -> None:
    documents = render("--set", "s3.enabled=true,s3.existingSecret=mine")
    assert not of_kind(documents, "Secret")
    (job,) = of_kind(documents, "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "mine"}}]
    environment = s3_server("--set", "s3.existingSecret=mine")["spec"]["containers"][0]["env"]
    assert {each["valueFrom"]["secretKeyRef"]["name"] for each in environment} == {"mine"}
    for other in ("secretNamespaces={lab}", "accessKey=a", "secretKey=b"):
        assert "s3.existingSecret holds the keys" in refusal(
            "--set", f"s3.enabled=true,s3.existingSecret=mine,s3.{other}"
        )


def test_the_log_of_the_bucket_has_no_key_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = of_kind(render("--set", "s3.enabled=true,s3.existingSecret=mine"), "Job")
    _, *arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-printed")
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Secret mine: AWS_ACCESS_KEY_ID may have no line break: write it again")
    assert "AKIA" not in ended.stdout + ended.stderr


def test_the_job_of_a_bucket_that_failed_outlives_a_release_only_as_long_as_its_log_is_read() -> None:
    (job,) = of_kind(render("--set", "s3.enabled=true"), "Job")
    policy = set(job["metadata"]["annotations"]["helm.sh/hook-delete-policy"].split(","))
    assert policy == {"before-hook-creation", "hook-succeeded"}, "with hook-failed the log goes at once"
    assert (job["spec"]["activeDeadlineSeconds"], job["spec"]["ttlSecondsAfterFinished"]) == (3600, 86400)
