"""Drives a cluster from outside as a user would: kubectl, and S3 through a port-forward."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import yaml

SYSTEM_NAMESPACE = "pfd-system"
BUCKET = "pfd"
TERMINAL = ("Converged", "Refused", "MaxIterations", "BudgetExhausted", "Cancelled", "Failed")


def _program() -> str:
    """Return kubectl: the cached one that `make install` sees to, else the one on PATH."""
    cached = Path(os.environ.get("PFD_CACHE", Path.home() / ".cache" / "pfd-operator")) / "bin" / "kubectl"
    return str(cached) if cached.exists() else shutil.which("kubectl") or "kubectl"


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Run kubectl and return what it prints."""
    done = subprocess.run([_program(), *arguments], input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def apply(manifest: dict[str, Any], namespace: str) -> None:
    """Apply one object."""
    kubectl("apply", "--namespace", namespace, "-f", "-", stdin=yaml.safe_dump(manifest))


def finetunejob(name: str, namespace: str) -> dict[str, Any]:
    """Return a FineTuneJob as it is now."""
    return job("finetunejob", name, namespace)


def job(kind: str, name: str, namespace: str) -> dict[str, Any]:
    """Return a job as it is now; `kind` is finetunejob or distilljob."""
    found: dict[str, Any] = json.loads(kubectl("get", kind, name, "--namespace", namespace, "-o", "json"))
    return found


def wait_for_phase(
    name: str, namespace: str, phases: tuple[str, ...], seconds: float, kind: str = "finetunejob"
) -> dict[str, Any]:
    """Return the job once its phase is one of these.

    Raises
    ------
    TimeoutError
        With the job's description, if that takes longer.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = job(kind, name, namespace)
        if found.get("status", {}).get("phase") in phases:
            return found
        time.sleep(1)
    raise TimeoutError(kubectl("describe", kind, name, "--namespace", namespace))


@contextlib.contextmanager
def port_forward(service: str, port: int, namespace: str = SYSTEM_NAMESPACE) -> Iterator[str]:
    """Forward a free local port to a Service; yields its URL."""
    command = [_program(), "port-forward", "--namespace", namespace, f"service/{service}", f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        try:
            if found is None:
                raise RuntimeError(f"port-forward to {service}: {line}")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()


@contextlib.contextmanager
def object_store() -> Iterator[Any]:
    """Yield a boto3 client of the S3 that the chart brings."""
    secret = json.loads(kubectl("get", "secret", "pfd-s3", "--namespace", SYSTEM_NAMESPACE, "-o", "json"))["data"]
    keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
    with port_forward("pfd-operator-s3", 9000) as url:
        yield boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )


def stage_manifest(s3: Any, prefix: str, digest: str) -> dict[str, Any]:
    """Return what a finished stage left in the store; `prefix` is the job's, and keys in it are relative to that."""
    body = s3.get_object(Bucket=BUCKET, Key=f"{prefix}/stages/{digest}/manifest.json")["Body"].read()
    manifest: dict[str, Any] = json.loads(body)
    return manifest
