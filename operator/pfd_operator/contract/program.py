"""Settings of an engine that is any program: a command in an image of its own, the user's files, and what it leaves."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from .base import ExactlyOne, LongObjectName, Strict

MOUNTED_FILES_DIRECTORY = "/etc/pfd-files"
"""Where files out of ConfigMaps and Secrets are in the engine's containers: copies, as they were when the pod began."""
LIVE_FILES_DIRECTORY = "/etc/pfd-files-live"
"""Where the probe finds them to copy: what is mounted there follows the objects while a pod runs."""
STRUCTURE_FILE = "structure.extxyz"
POSCAR_FILE = "POSCAR"
COMMAND_FILE = "command.sh"
LOG_FILE = "engine.out"
EXIT_CODE_FILE = "exit_code"
RESERVED = frozenset({STRUCTURE_FILE, POSCAR_FILE, COMMAND_FILE, LOG_FILE, EXIT_CODE_FILE, f"{EXIT_CODE_FILE}.part"})
"""What we write into the folder of a calculation."""

_FILE_NAME = r"^[A-Za-z0-9_][-._A-Za-z0-9]*$"
_REQUIRED = r"^(/\S+|[^\s/]+)$"


class OutputFormat(StrEnum):
    """Formats of results, by ASE's names: those whose readers only read, and for which we know what converged means."""

    EXTXYZ = "extxyz"
    VASP_XML = "vasp-xml"
    VASP_OUT = "vasp-out"
    ESPRESSO_OUT = "espresso-out"
    ORCA_OUTPUT = "orca-output"


PLANE_WAVES = frozenset({OutputFormat.VASP_XML, OutputFormat.VASP_OUT, OutputFormat.ESPRESSO_OUT})
"""Formats of programs that repeat whatever they are given along three vectors."""


class ProgramOutput(Strict):
    """What the program leaves in the folder of a calculation."""

    file: str = Field(
        "result.extxyz", max_length=100, pattern=_FILE_NAME, description="Name of the file. Default result.extxyz."
    )
    format: OutputFormat = Field(
        OutputFormat.EXTXYZ,
        description="By ASE's name; extxyz: one frame, energy in eV, forces in eV/Å. Default extxyz.",
    )


class ObjectKey(Strict):
    """A key of an object in the job's namespace."""

    name: LongObjectName = Field(description="Name of the object.")
    key: str = Field(max_length=100, pattern=_FILE_NAME, description="Key in it, and name of the file.")


class MountedFile(ExactlyOne):
    """A file out of a ConfigMap or a Secret in the job's namespace."""

    config_map: ObjectKey | None = Field(None, description="A key of a ConfigMap.")
    secret: ObjectKey | None = Field(None, description="A key of a Secret.")

    @property
    def file(self) -> str:
        """Its name in the folder of a calculation."""
        _, source = self.chosen()
        return str(source.key)

    @property
    def path(self) -> str:
        """Where it is in the engine's containers."""
        return f"{MOUNTED_FILES_DIRECTORY}/{self.file}"

    @property
    def in_words(self) -> str:
        """The object and its key, as people name them."""
        kind = "ConfigMap" if self.secret is None else "Secret"
        _, source = self.chosen()
        return f"key {source.key} of {kind} {source.name}"


class ProgramEngine(Strict):
    """Any program that computes energy and forces, in an image of its own (labeling.image)."""

    command: list[str] = Field(
        min_length=1, max_length=32, description="Run in a folder with structure.extxyz, POSCAR and the files."
    )
    files: dict[str, Annotated[str, Field(max_length=12000)]] = Field(
        {}, max_length=32, description="Name → text of files that are put beside the structure. Default: none."
    )
    files_from: list[MountedFile] = Field(
        [],
        max_length=32,
        description="Further files, out of ConfigMaps and Secrets; larger ones, or licensed. Default: none.",
    )
    requires: list[Annotated[str, Field(max_length=512, pattern=_REQUIRED)]] = Field(
        [],
        max_length=32,
        description="Programs and files (absolute paths) of the image that decide labels, besides those in command. "
        "Default: none.",
    )
    output: ProgramOutput = Field(ProgramOutput(), description="What is read when it has ended.")

    @field_validator("files")
    @classmethod
    def _have_names(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            if not re.fullmatch(_FILE_NAME, name) or len(name) > 100:
                raise ValueError(f"{name!r} is no name of a file: letters, digits, dots, - and _ only, and no folders")
        _refuse_reserved(files)
        return files

    @field_validator("files_from")
    @classmethod
    def _differ(cls, mounted: list[MountedFile], info: ValidationInfo) -> list[MountedFile]:
        seen = set(info.data.get("files", ()))
        for each in mounted:
            if each.file in seen:
                raise ValueError(f"there is another file {each.file}: names in files and filesFrom must differ")
            seen.add(each.file)
        _refuse_reserved(seen)
        return mounted

    @field_validator("output")
    @classmethod
    def _is_written_by_the_program(cls, output: ProgramOutput, info: ValidationInfo) -> ProgramOutput:
        given = {*info.data.get("files", ()), *(each.file for each in info.data.get("files_from", ()))}
        if output.file in given | RESERVED:
            raise ValueError(f"{output.file} exists before the program runs, so it cannot be its output")
        return output


def _refuse_reserved(names: Collection[str]) -> None:
    for name in sorted(RESERVED.intersection(names)):
        raise ValueError(f"{name} is written for every calculation: give the file another name")
