"""Settings of an engine that is any program: what cannot work is refused when it is written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pfd_operator.contract.engine import Engine
from pfd_operator.contract.labeling import Labeling
from pfd_operator.contract.probe import needed_items, probe_arguments

PROGRAM: dict[str, Any] = {
    "command": ["sh", "run.sh", "mpirun", "-np", "16", "vasp_std"],
    "files": {"INCAR": "ENCUT = 520\n", "KPOINTS": "", "run.sh": "exec $@\n"},
    "filesFrom": [{"secret": {"name": "potcars", "key": "POTCAR.Si"}}, {"configMap": {"name": "dft", "key": "vdw"}}],
    "requires": ["/opt/vasp/vdw_kernel.bindat", "vasp_std"],
    "output": {"file": "vasprun.xml", "format": "vasp-xml"},
}


def labeling(noise: dict[str, Any] | None = None, image: str | None = "vasp:6", **changes: Any) -> Labeling:
    given: dict[str, Any] = {"engine": {"program": PROGRAM | changes}, "image": image}
    return Labeling.model_validate(given | ({"noiseCheck": {"settings": noise}} if noise else {}))


def test_what_is_given_is_no_item_of_the_image() -> None:
    engine = labeling().engine
    mounted = ["file:/etc/pfd-files/POTCAR.Si", "file:/etc/pfd-files/vdw"]
    kernel = "file:/opt/vasp/vdw_kernel.bindat"
    words = ["program:sh", "program:mpirun", "program:16", "program:vasp_std"]
    assert probe_arguments(engine) == ["PWD", *words, kernel, *mounted]
    assert needed_items(engine) == ["program:sh", kernel, "program:vasp_std", *mounted]
    assert probe_arguments(Engine.model_validate({"xtb": {}})) == needed_items(Engine.model_validate({"xtb": {}})) == []
    assert engine.in_words == "the program sh run.sh mpirun -np 16 vasp_std"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": None}, r"image\n.*runs in an image of yours"),
        ({"command": []}, "command"),
        ({"files": {"a/b": ""}}, "'a/b' is no name of a file"),
        ({"files": {"..": ""}}, "'..' is no name of a file"),
        ({"files": {"POSCAR": ""}}, "POSCAR is written for every calculation"),
        ({"files": {"INCAR": "x" * 12001}}, "at most 12000"),
        ({"filesFrom": [{"secret": {"name": "s", "key": "INCAR"}}]}, "there is another file INCAR"),
        ({"filesFrom": [{"secret": {"name": "s", "key": "exit_code"}}]}, "exit_code is written for every"),
        ({"filesFrom": [{"secret": {"name": "s", "key": "../x"}}]}, "pattern"),
        ({"filesFrom": [{}]}, "exactly one of"),
        ({"requires": ["bin/vasp"]}, "pattern"),
        ({"output": {"file": "INCAR"}}, "INCAR exists before the program runs"),
        ({"output": {"file": "structure.extxyz"}}, "structure.extxyz exists before"),
        ({"output": {"file": "../x"}}, "pattern"),
        ({"output": {"format": "traj"}}, "extxyz"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        labeling(**changes)


def test_of_tighter_settings_files_that_are_not_named_stay() -> None:
    tighter = labeling({"files": {"INCAR": "ENCUT = 700\n"}}).tighter()
    assert tighter is not None
    assert tighter.program is not None
    assert tighter.program.files == PROGRAM["files"] | {"INCAR": "ENCUT = 700\n"}
    assert tighter.program.command == PROGRAM["command"]


@pytest.mark.parametrize("setting", ["command", "filesFrom", "requires", "output"])
def test_another_program_is_no_tighter_one(setting: str) -> None:
    with pytest.raises(ValidationError, match=f"{setting} would be another method"):
        labeling({setting: PROGRAM[setting]})
