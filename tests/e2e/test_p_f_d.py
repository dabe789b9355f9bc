"""P → F → D with real pods: the student's job is applied with its teacher's, waits, learns, is judged and exported."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import drive
import pytest

NAMESPACE = "pfd-e2e"


@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("short_status")
def test_a_student_waits_for_its_teacher_and_is_accepted(
    submit: Callable[..., str], distill: Callable[..., str]
) -> None:
    student = distill("light", teacher="teacher")
    waiting = drive.wait_for_phase(student, NAMESPACE, ("Pending",), 30, "distilljob")["status"]
    assert _ready(waiting)["reason"] == "TeacherPending"
    # its stages are found in the store
    submit("teacher", under="short")
    ended = drive.wait_for_phase(student, NAMESPACE, drive.TERMINAL, 1000, "distilljob")["status"]
    assert ended["phase"] == "Converged", drive.kubectl("describe", "distilljob", student, "-n", NAMESPACE)
    assert [each["stage"] for each in ended["stages"]][-1] == "accept"
    assert ended["labels"]["paid"] == 4 + 6 + 6
    assert ended["speedup"].endswith("at 32 atoms")
    assert {"teacher", "student"} == set(ended["dft"])
    assert all(check["met"] for check in ended["acceptance"])
    address = urlsplit(ended["model"]["uri"])
    folder = address.path.lstrip("/").rpartition("/")[0]
    with drive.object_store() as s3:
        listed = s3.list_objects_v2(Bucket=address.netloc, Prefix=f"{folder}/")["Contents"]
        names = {each["Key"].rpartition("/")[2] for each in listed}
        card = json.loads(s3.get_object(Bucket=address.netloc, Key=f"{folder}/card.json")["Body"].read())
    assert names == {
        "model.pt", "frozen.pth", "compressed.pth", "data.lammps", "in.lammps", "run_ase.py", "structure.extxyz",
        "card.json", "card.md", "manifest.json", "acceptance.json", "report.html", "report.json", "history.json",
        "dataset.extxyz", "holdout.extxyz",
    }  # fmt: skip
    assert card["accepted"] is True
    assert card["typeMap"] == ["Si"]


def _ready(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in status["conditions"] if item["type"] == "Ready")
    return found


def test_a_teacher_that_failed_fails_the_student(submit: Callable[..., str], distill: Callable[..., str]) -> None:
    def no_branch(spec: dict[str, Any]) -> None:
        del spec["model"]["branch"]

    submit("broken", no_branch)
    student = distill("orphan", teacher="broken")
    ended = drive.wait_for_phase(student, NAMESPACE, drive.TERMINAL, 120, "distilljob")["status"]
    assert (ended["phase"], _ready(ended)["reason"]) == ("Failed", "TeacherFailed")
    assert "branch" in _ready(ended)["message"]
