"""One short FineTuneJob with real pods, ABINIT labels and deepmd-kit training; and the same again for nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import drive
import pytest

NAMESPACE = "pfd-e2e"
STAGES = ["prepare", "explore", "select", "label", "train", "explore", "select", "label", "train"]


@pytest.mark.timeout(1500)
def test_converges_with_exact_labels_and_is_free_the_second_time(
    submit: Callable[..., str], short_status: dict[str, Any]
) -> None:
    first = short_status
    assert first["phase"] == "Converged", drive.kubectl("describe", "finetunejob", "short", "-n", NAMESPACE)
    assert [stage["stage"] for stage in first["stages"]] == STAGES
    # AIMD 2 × 2, hold-out 4, one iteration of 4
    assert first["labels"] | {"shown": ""} == {
        "paid": 12,
        "reused": 0,
        "failed": 0,
        "wasted": 0,
        "budget": 20,
        "shown": "",
    }
    assert set(first["baselines"]) == {"pretrained", "shifted"}
    assert float(first["model"]["errors"]["forceRMSE"]) > 0
    bucket, _, key = first["model"]["uri"].removeprefix("s3://").partition("/")
    with drive.object_store() as s3:
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 10_000

    again = drive.wait_for_phase(submit("again", under="short"), NAMESPACE, drive.TERMINAL, 600)["status"]
    assert again["phase"] == "Converged"
    assert again["labels"]["paid"] == 0
    assert again["labels"]["reused"] == 12
    assert again["model"]["errors"] == first["model"]["errors"]
    assert all(stage["reused"] for stage in again["stages"] if stage["stage"] in ("select", "train"))


def _unknown_element(spec: dict[str, Any]) -> None:
    spec["systems"][0]["structures"]["inline"] = spec["systems"][0]["structures"]["inline"].replace("Si", "U ")
    spec["labeling"]["engine"]["abinit"]["pseudopotentials"]["U"] = "U.psp8"


def _unreadable(spec: dict[str, Any]) -> None:
    spec["systems"][0]["structures"]["inline"] = "this is no structure"


def _missing_model(spec: dict[str, Any]) -> None:
    spec["model"]["uri"] = "s3://pfd/models/nobody-put-this-here.pt"


def _missing_bucket(spec: dict[str, Any]) -> None:
    spec["artifacts"]["s3"]["bucket"] = "no-such-bucket"


def _bad_template_key(spec: dict[str, Any]) -> None:
    spec["training"]["template"] = {"training": {"numb_stepz": 5}}


def _no_pseudopotential(spec: dict[str, Any]) -> None:
    spec["labeling"]["engine"]["abinit"]["pseudopotentials"] = {"Ge": "Ge.psp8"}


def _no_branch(spec: dict[str, Any]) -> None:
    del spec["model"]["branch"]


def _unknown_branch(spec: dict[str, Any]) -> None:
    spec["model"]["branch"] = "Water"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("change", "reason", "names"),
    [
        (_no_branch, "BranchRequired", "Group_IV_Elements"),
        (_unknown_branch, "UnknownBranch", "Group_IV_Elements"),
        (_unknown_element, "UnknownElement", "diamond"),
        (_unreadable, "StructureUnreadable", "diamond"),
        (_missing_model, "ModelNotFound", "nobody-put-this-here.pt"),
        (_missing_bucket, "BucketNotFound", "spec.artifacts.s3"),
        (_bad_template_key, "TrainingTemplateInvalid", "numb_stepz"),
        (_no_pseudopotential, "PseudopotentialMissing", "Si"),
    ],
)
def test_user_errors_say_what_and_where(
    submit: Callable[..., str], change: Callable[[dict[str, Any]], None], reason: str, names: str
) -> None:
    name = submit(reason.lower(), change)
    _assert_it_fails(name, reason, names)


def _assert_it_fails(name: str, reason: str, names: str) -> None:
    status = drive.wait_for_phase(name, NAMESPACE, drive.TERMINAL, 240)["status"]
    progressing = next(each for each in status["conditions"] if each["type"] == "Progressing")
    assert status["phase"] == "Failed"
    assert progressing["reason"] == reason, progressing
    assert names in progressing["message"]
    assert status["labels"]["paid"] == 0


@pytest.mark.timeout(1500)
def test_no_key_to_the_store_stands_anywhere_but_in_its_secret(
    submit: Callable[..., str], short_status: dict[str, Any]
) -> None:
    """Neither of a job that went well nor of one whose keys cannot be sent."""
    assert short_status["phase"] == "Converged"
    keys = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE\n",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "FwoGZXIvYXdzEXAMPLETOKEN\n",
    }
    drive.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "line-break"}, "stringData": keys}, NAMESPACE
    )
    name = submit("line-break", lambda spec: spec["artifacts"]["s3"].update(credentialsSecret="line-break"))
    _assert_it_fails(name, "StoreDenied", "AWS_ACCESS_KEY_ID ends in a line break")

    secret = json.loads(drive.kubectl("get", "secret", "pfd-s3", "--namespace", NAMESPACE, "-o", "json"))
    theirs = {f"{key} of pfd-s3": base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert len(theirs) == 2 and min(map(len, theirs.values())) >= 16, "too short to be looked for"
    kinds = "finetunejobs,distilljobs,jobs,pods,configmaps,services,events"
    said = {kinds: drive.kubectl("get", kinds, "--namespace", NAMESPACE, "-o", "json")}
    for pod in drive.kubectl("get", "pods", "--namespace", NAMESPACE, "-o", "name").split():
        # one that never started has no log
        said[pod] = drive.kubectl("logs", pod, "--namespace", NAMESPACE, "--all-containers", "--tail=-1", check=False)
    operator = ("--selector", "app.kubernetes.io/name=pfd-operator", "--namespace", drive.SYSTEM_NAMESPACE)
    said["operator"] = drive.kubectl("logs", *operator, "--tail=-1")
    assert name in said[kinds] and len(said) > 3
    # not the values in the assertion itself, which is printed when it fails
    values = {key: value.strip() for key, value in (keys | theirs).items()}
    found = [f"{key} in {place}" for place, text in said.items() for key, value in values.items() if value in text]
    assert not found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda spec: spec["artifacts"]["s3"].update(credentialsSecret="nobody-made-this"), "SecretMissing"),
        (lambda spec: spec["labeling"].update(image="localhost/pfd/no-such-image:1"), "ImageCannotBePulled"),
    ],
)
def test_pods_that_cannot_start_say_why(
    submit: Callable[..., str], change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    name = submit(reason.lower(), change)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        conditions = drive.finetunejob(name, NAMESPACE).get("status", {}).get("conditions", [])
        stuck = next((each for each in conditions if each["type"] == "Stuck" and each["status"] == "True"), None)
        if stuck is not None:
            assert stuck["reason"] == reason
            break
        time.sleep(1)
    else:
        pytest.fail(drive.kubectl("describe", "finetunejob", name, "-n", NAMESPACE))
    drive.kubectl("delete", "finetunejob", name, "--namespace", NAMESPACE)


def test_the_schema_refuses_at_apply(submit: Callable[..., str]) -> None:
    with pytest.raises(RuntimeError, match="unknown field"):
        submit("typo", lambda spec: spec.update(convergance={}))
    with pytest.raises(RuntimeError, match="exactly one of"):
        submit("two", lambda spec: spec["model"].update(pretrained="DPA-3.1-3M"))
    with pytest.raises(RuntimeError, match=r"budget\.maxLabels is less than"):
        submit("poor", lambda spec: spec.update(budget={"maxLabels": 3}))
