"""A program in an image of its own, from end to end: stage-in, the script it wrote, stage-out."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ase.calculators.emt import EMT

from pfd_operator.contract import program
from pfd_operator.contract.outcome import LabelOutcome
from pfd_operator.contract.probe import PROBE_SCRIPT, probe_arguments
from pfd_operator.contract.result import ExitCode, Reason, StageResult
from pfd_operator.contract.stage import StageRef
from pfd_worker import label_pod, stage_files
from pfd_worker.errors import StageError
from pfd_worker.frames import energy_of, read_frames
from tests.unit.worker.stages.label_tasks import context_of, counts, desk_of, select
from tests.unit.worker.stages.loop import LABEL, Loop

PROGRAM = f"""#!{sys.executable}
import sys
from ase.calculators.emt import EMT
from ase.io import read, write

atoms = read("POSCAR")
atoms.calc = EMT()
atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
write(sys.argv[1], atoms, format="extxyz")
"""
RUN = """
grep -q 'asap = 0.1' SETTINGS && grep -q licensed POTCAR.Cu || exit 7
exec "$@"
"""
ENGINE: dict[str, Any] = {
    "command": ["sh", "run.sh", "emt", "labels.xyz"],
    "files": {"run.sh": RUN, "SETTINGS": "asap = 0.1\n"},
    "filesFrom": [{"secret": {"name": "potcars", "key": "POTCAR.Cu"}}],
    "output": {"file": "labels.xyz"},
}


@pytest.fixture
def image(tmp_path, monkeypatch) -> Path:
    """What the engine's container holds: the program, a launcher, and what is mounted."""
    folder = tmp_path / "image"
    folder.mkdir()
    for name, text in {"emt": PROGRAM, "mpirun": '#!/bin/sh\nshift 2\nexec "$@"\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "POTCAR.Cu").write_text("licensed")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(program, "MOUNTED_FILES_DIRECTORY", str(folder))
    return folder


def pod(**changes: Any) -> dict[str, Any]:
    return LABEL | {"engine": {"program": ENGINE | changes}}


def keys(loop: Loop, selected: StageRef, name: str, **changes: Any) -> list[str]:
    return [entry.key for entry in desk_of(context_of(loop, selected, name, pod(**changes))).entries]


def test_labels_come_through_the_script(tmp_path, image):
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=pod())
    label_pod.stage_in(context)
    subprocess.run(["sh", str(context.workdir / "engine" / "run.sh")], check=True, timeout=120)
    result = label_pod.stage_out(context)
    assert result.outcome == LabelOutcome(failed=0, reused=0)
    assert counts(loop) == {"paid": 3, "reused": 0, "failed": 0, "wasted": 0}
    assert list((context.workdir / "engine" / "tasks").iterdir()) == [], "what is stored takes no room on the node"
    stored = loop.folder / "labels.extxyz"
    stored.write_bytes(loop.store.get(loop.manifest(result, 0).files[stage_files.LABELS].key) or b"")
    for frame in read_frames(stored):
        energy = energy_of(frame)
        frame.calc = EMT()
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-6)


def run_pod(loop: Loop, selected: StageRef, name: str) -> StageResult:
    context = context_of(loop, selected, name, pod())
    label_pod.stage_in(context)
    subprocess.run(["sh", str(context.workdir / "engine" / "run.sh")], check=True, timeout=120)
    return label_pod.stage_out(context)


def test_a_stage_whose_files_were_corrected_is_another_one_and_has_other_labels(tmp_path, image):
    loop = Loop(tmp_path)
    selected = select(loop, ("Cu",), trajectory=False)
    first = run_pod(loop, selected, "first")
    assert run_pod(loop, selected, "again").reused
    (image / "POTCAR.Cu").write_text("licensed, harder")
    corrected = run_pod(loop, selected, "corrected")
    assert (corrected.reused, corrected.asked) == (False, first.asked)
    assert corrected.digest != first.digest
    assert counts(loop)["paid"] == 2


def test_what_is_digested_is_what_calculations_get_though_it_is_edited_meanwhile(tmp_path, monkeypatch):
    live, copies, work = (tmp_path / name for name in ("live", "copies", "probed"))
    for folder in (live, copies, work):
        folder.mkdir()
    (live / "POTCAR.Cu").write_text("licensed")
    monkeypatch.setattr(program, "MOUNTED_FILES_DIRECTORY", str(copies))
    context = context_of(Loop(tmp_path), select(Loop(tmp_path), trajectory=False), params=pod(command=["cat"]))
    script = PROBE_SCRIPT.replace("/etc/pfd-files-live", str(live)).replace("/etc/pfd-files", str(copies))
    probe = ["sh", "-c", script, "probe", *probe_arguments(context.spec.params.engine)]
    (context.workdir / "engine").mkdir()
    subprocess.run(probe, cwd=context.workdir / "engine", check=True)
    (live / "POTCAR.Cu").write_text("licensed, harder")
    label_pod.stage_in(context)
    digest = hashlib.sha256(b"licensed").hexdigest()
    assert context.engine_content[f"file:{copies}/POTCAR.Cu"] == digest
    command = (context.workdir / "engine" / "tasks" / "000000" / "command.sh").read_text()
    assert f"ln -s {copies}/POTCAR.Cu ." in command
    assert (copies / "POTCAR.Cu").read_text() == "licensed"


def test_a_calculation_that_fails_stops_no_other(tmp_path, image):
    loop = Loop(tmp_path)
    failing = {"run.sh": RUN.replace("exec", "mkdir ../first 2>/dev/null && { echo no licence; exit 3; }\nexec")}
    context = context_of(loop, select(loop, trajectory=False), params=pod(files=ENGINE["files"] | failing))
    label_pod.stage_in(context)
    subprocess.run(["sh", str(context.workdir / "engine" / "run.sh")], check=True, timeout=120)
    result = label_pod.stage_out(context)
    assert result.outcome == LabelOutcome(failed=1, reused=0)
    (failure,) = json.loads(loop.store.get(loop.manifest(result, 0).files["failures.json"].key) or b"")
    assert failure["reason"] == "EngineError"
    assert "exit code 3" in failure["message"]
    assert "no licence" in failure["message"]


def test_everything_that_decides_a_label_is_in_its_key(tmp_path, image):
    loop = Loop(tmp_path)
    selected = select(loop)
    first = keys(loop, selected, "first")
    assert keys(loop, selected, "again") == first
    files = ENGINE["files"]
    changed = [
        keys(loop, selected, "command", command=["sh", "run.sh", "emt", "-v", "labels.xyz"]),
        keys(loop, selected, "script", command=["sh", "SETTINGS", "emt", "labels.xyz"]),
        keys(loop, selected, "settings", files=files | {"SETTINGS": "asap = 0.1 0.2\n"}),
        keys(loop, selected, "requires", requires=[str(image / "mpirun")]),
    ]
    (image / "POTCAR.Cu").write_text("licensed, harder")
    changed.append(keys(loop, selected, "mounted"))
    (image / "emt").write_text("#!/bin/sh\n")
    changed.append(keys(loop, selected, "program"))
    assert len({key for found in [first, *changed] for key in found}) == 7 * len(first)


def test_how_many_processes_run_and_what_a_secret_is_called_is_not_in_the_key(tmp_path, image):
    loop = Loop(tmp_path)
    selected = select(loop)
    found = [
        keys(loop, selected, count, command=["sh", "run.sh", "mpirun", "-np", count, "emt", "labels.xyz"])
        for count in ("2", "16")
    ]
    renamed = [{"configMap": {"name": "others", "key": "POTCAR.Cu"}}]
    assert found[0] == found[1]
    assert keys(loop, selected, "renamed", filesFrom=renamed) == keys(loop, selected, "first")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ["emtt"]}, r"no program emtt \(spec\.labeling\.engine, command or requires\)"),
        ({"requires": ["vasp_std"]}, "no program vasp_std"),
        ({"requires": ["/opt/nowhere/POTCAR"]}, r"no readable file /opt/nowhere/POTCAR .*program\.requires"),
        (
            {"filesFrom": [{"secret": {"name": "potcars", "key": "POTCAR.Ni"}}]},
            r"no key POTCAR\.Ni of Secret potcars in the job's namespace .*filesFrom\)\. Create it",
        ),
    ],
)
def test_what_is_missing_is_told_before_anything_runs(tmp_path, image, changes, words):
    loop = Loop(tmp_path)
    with pytest.raises(StageError, match=words) as caught:
        label_pod.stage_in(context_of(loop, select(loop), params=pod(**changes)))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.ENGINE_MISSING)
    assert counts(loop)["paid"] == 0
