"""What is computed: structures, how they are varied, and frames that are labelled already."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from .base import Count, ExactlyOne, LongObjectName, Name, Positive, Strict, Uri, invalid_at

_Element = Annotated[str, Field(pattern=r"^[A-Z][a-z]?$", max_length=2)]
_NO_PLANE = "[0, 0, 0] is no plane"


class ConfigMapKey(Strict):
    """One key of a ConfigMap in the job's namespace."""

    name: LongObjectName = Field(description="Name of the ConfigMap.")
    key: str = Field(
        max_length=253,
        pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
        description="Key in the ConfigMap; its name tells the format as ASE knows it: POSCAR, x.vasp, x.cif, x.extxyz.",
    )


class Structures(ExactlyOne):
    """Where structures come from: any format ASE reads (extended XYZ, CIF, POSCAR, …), known by the file's name."""

    config_map: ConfigMapKey | None = Field(None, description="A key of a ConfigMap in the same namespace.")
    uri: Uri | None = Field(None, description="A file in the object store; its name tells the format.")
    inline: str | None = Field(None, min_length=1, max_length=65536, description="Extended XYZ text.")


class Slab(Strict):
    """A surface cut from the given crystal by ase.build.surface."""

    miller: tuple[int, int, int] = Field(
        description="Miller indices.",
        json_schema_extra={"x-kubernetes-validations": [{"rule": "self.exists(i, i != 0)", "message": _NO_PLANE}]},
    )
    layers: int = Field(3, ge=1, le=20, description="Equivalent layers. Default 3.")
    vacuum: Positive = Field(10.0, le=100, description="Vacuum on each side, in Å. Default 10.")

    @field_validator("miller")
    @classmethod
    def _is_a_plane(cls, miller: tuple[int, int, int]) -> tuple[int, int, int]:
        if not any(miller):
            raise ValueError(_NO_PLANE)
        return miller


class Perturb(Strict):
    """Random variations of each given structure: where fine-tuning data and trajectories start."""

    count: int = Field(8, ge=1, le=1000, description="Variations made of each structure. Default 8.")
    displacement: float = Field(0.1, ge=0, le=1, description="Standard deviation of displacements, in Å. Default 0.1.")
    strain: float = Field(
        0.03,
        ge=0,
        le=0.3,
        description="Largest component of the random symmetric strain, no unit. Default 0.03.",
    )
    supercell: tuple[Count, Count, Count] = Field((1, 1, 1), description="Repetitions of the cell. Default [1, 1, 1].")
    vacancies: int = Field(0, ge=0, le=100, description="Atoms removed at random from each variation. Default 0.")
    vacancy_elements: list[_Element] | None = Field(
        None, min_length=1, max_length=16, description="Elements of the atoms removed. Default: any."
    )
    slab: Slab | None = Field(None, description="Cut this surface before anything else. Default: keep the bulk.")

    @model_validator(mode="after")
    def _elements_of_something(self) -> Self:
        if self.vacancy_elements is not None and not self.vacancies:
            words = "vacancies is 0, so nothing is removed: say how many"
            raise invalid_at(("vacancyElements",), words, self.vacancy_elements)
        return self


class System(Strict):
    """One material: its structures and how they are varied."""

    name: Name = Field(description="Name used in strata, reports and file names.")
    structures: Structures = Field(description="Start structures: exactly one of configMap, uri, inline.")
    perturb: Perturb = Field(Perturb(), description="Random variations of each structure.")

    @field_validator("name")
    @classmethod
    def _stays_text(cls, name: str) -> str:
        if re.fullmatch(r"[0-9]+(e[0-9]+)?|nan|inf|infinity|true|false|t|f", name):
            raise ValueError("extended XYZ files would read it back as a number or a boolean: add a word to it")
        return name


class LabelledData(Strict):
    """Labelled frames that exist already."""

    uri: Uri = Field(
        description="Extended XYZ in the object store: energy (eV), forces (eV/Å) and, if known, stress (eV/Å³) or "
        "virial (eV); or, ending in /, a folder with deepmd/npy data in it."
    )


class HoldOutData(LabelledData):
    """Labelled frames to measure models on."""

    system: Name | None = Field(
        None,
        description="The system that its frames are of, by name. Default: what each says as system=, or the only one.",
    )
