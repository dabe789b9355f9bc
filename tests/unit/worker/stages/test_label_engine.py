"""What an engine's image holds is part of its labels, and is found there before anything runs."""

from __future__ import annotations

import pytest

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import LabelParams, StageRef
from pfd_worker import label_pod
from pfd_worker.errors import StageError
from pfd_worker.labelers.fingerprint import fingerprint
from tests.unit.worker.stages.label_tasks import ABINIT, POD, context_of, desk_of, select
from tests.unit.worker.stages.loop import Loop


def keys(loop: Loop, selected: StageRef, name: str, *command: str) -> list[str]:
    abinit = ABINIT["abinit"] | ({"command": list(command)} if command else {})
    context = context_of(loop, selected, name, POD | {"engine": {"abinit": abinit}})
    return [entry.key for entry in desk_of(context).entries]


def test_another_pseudopotential_or_program_of_the_same_name_is_another_label(tmp_path, image):
    loop = Loop(tmp_path)
    selected = select(loop)
    first = keys(loop, selected, "first")
    assert keys(loop, selected, "same") == first
    (image / "Cu.psp8").write_text("a better pseudopotential")
    second = keys(loop, selected, "second")
    (image / "abinit").write_text("#!/bin/sh\n# another version\n")
    third = keys(loop, selected, "third")
    assert not set(first) & set(second)
    assert not set(second) & set(third)


def test_another_number_of_processes_is_the_same_label_and_another_program_another(tmp_path, image):
    for name in ("mpirun", "abinit-10"):
        (image / name).write_text(f"#!/bin/sh\n# {name}\n")
        (image / name).chmod(0o755)
    loop = Loop(tmp_path)
    selected = select(loop)
    eight = keys(loop, selected, "eight", "mpirun", "-np", "8", "abinit")
    assert keys(loop, selected, "sixteen", "mpirun", "-np", "16", "--bind-to", "core", "abinit") == eight
    plain = keys(loop, selected, "plain")
    assert keys(loop, selected, "named", "abinit") == plain
    others = [
        keys(loop, selected, "other", "mpirun", "-np", "8", "abinit-10"),
        keys(loop, selected, "option", "mpirun", "-np", "8", "abinit", "--hybrid"),
        # what the probe has not found may be anything
        keys(loop, selected, "hidden-8", "sh", "-c", "mpirun -np 8 abinit $0"),
        keys(loop, selected, "hidden-16", "sh", "-c", "mpirun -np 16 abinit $0"),
    ]
    assert len({key for found in [eight, plain, *others] for key in found}) == 6 * len(eight)


def test_a_pseudopotential_that_the_image_lacks_is_told_before_anything_runs(tmp_path, image):
    (image / "Cu.psp8").unlink()
    loop = Loop(tmp_path)
    with pytest.raises(StageError, match=r"no readable file Cu\.psp8") as caught:
        label_pod.stage_in(context_of(loop, select(loop), params=POD))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.PSEUDOPOTENTIAL_MISSING)


def test_a_program_that_the_image_lacks_is_told_before_anything_runs(tmp_path, image):
    loop = Loop(tmp_path)
    engine = {"abinit": {**ABINIT["abinit"], "command": ["abinitt"]}}
    with pytest.raises(StageError, match="no program abinitt") as caught:
        label_pod.stage_in(context_of(loop, select(loop), params=POD | {"engine": engine}))
    assert (caught.value.exit_code, caught.value.reason) == (ExitCode.USER_ERROR, Reason.ENGINE_MISSING)


def test_what_the_probe_leaves_besides_its_answer_is_not_there_for_the_worker(tmp_path, image):
    loop = Loop(tmp_path)
    context = context_of(loop, select(loop, trajectory=False), params=POD)
    shared = context.workdir / "engine"
    shared.mkdir()
    (shared / "engine-probe").write_text("aa program:abinit\nbb file:Cu.psp8\nno answer\n")
    target = tmp_path / "of-the-worker"
    target.mkdir()
    (target / "run.sh").write_text("ours")
    (shared / "tasks").symlink_to(target)
    (shared / "run.sh").symlink_to(target / "run.sh")
    label_pod.stage_in(context)
    assert [path.name for path in target.iterdir()] == ["run.sh"]
    assert (target / "run.sh").read_text() == "ours"
    (shared / "engine-probe").write_text("forged program:abinit\nforged file:Cu.psp8\n")
    found = fingerprint(context.params(LabelParams).engine, context.workdir)
    assert found == {"program:abinit": "aa", "file:Cu.psp8": "bb", "answer": "no"}
