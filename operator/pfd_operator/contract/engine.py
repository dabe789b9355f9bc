"""The engines that labels are computed with, each with its physics; of programs, `program` has the settings."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from .base import ExactlyOne, Positive, Strict
from .program import ProgramEngine

_BY_TYPE = re.compile(
    "amu|chempot|constraint_kind|corecs|densty|dmft_orbital|f[46]of2_sla|jpawu|lambsig|ldaminushalf|lexexch|lpawu|"
    "normpawu|pimass|ptcharge|quadmom|ratsph|so_psp|upawu|ziontypat|znucl",
    re.IGNORECASE,
)
"""ABINIT's arrays over types of atoms: the dimension of its documentation, of the Slater integrals of its source."""
_ELEMENT = re.compile(r"[A-Z][a-z]?")
_YAML_BOOLEANS = frozenset({"true", "false"})


def _yaml_hint(keys: Collection[str]) -> str:
    """Say what may have become of an element's symbol on its way through kubectl, which reads YAML 1.1."""
    return ': YAML takes N and Y for "no" and "yes", so write "N" and "Y"' if _YAML_BOOLEANS.intersection(keys) else ""


def _keys_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys_in, value.values()))
    return set().union(*map(_keys_in, value)) if isinstance(value, list) else set()


def _is_number(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_number, value))
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_by_element(name: str, values: dict[str, Any], elements: Collection[str]) -> None:
    """Refuse a variable's {element: value} unless it holds for whatever frame may come."""
    for element, value in values.items():
        if not _ELEMENT.fullmatch(element):
            raise ValueError(f"{name}: {element!r} is no element{_yaml_hint([element])}")
        if not _is_number(value):
            raise ValueError(f"{name}: the value of {element} is no number. Units are ABINIT's own: energies in Ha")
    missing = ", ".join(sorted(set(elements) - set(values)))
    if missing:
        raise ValueError(
            f"{name} has no value for {missing}: give each element of pseudopotentials one, also where it is that for "
            "nothing (of lpawu, -1)"
        )


class Smearing(StrEnum):
    """Occupation schemes of ABINIT (variable occopt)."""

    FIXED = "fixed"
    FERMI_DIRAC = "fermi-dirac"
    GAUSSIAN = "gaussian"


class AbinitEngine(Strict):
    """ABINIT, plane waves. The functional is that of the pseudopotentials."""

    cutoff_ev: Positive = Field(description="Plane-wave cutoff, in eV; fixed for all cells.")
    k_spacing: Positive = Field(
        description="Largest spacing of k-points, in 1/Å (with the factor 2π), in the cell of the given structure: all "
        "that comes of it has one mesh."
    )
    k_shifted: bool = Field(
        True,
        description="Shift the mesh by half a step off Γ (fewer independent points for one accuracy). Default true.",
    )
    smearing: Smearing = Field(Smearing.GAUSSIAN, description="Occupations. Default gaussian.")
    smearing_width_ev: Positive = Field(0.1, description="Smearing width, in eV. Default 0.1.")
    extra_bands_fraction: float = Field(
        0.25, ge=0, le=10, description="Bands above the occupied ones, as a fraction of them. Default 0.25."
    )
    pseudopotentials: dict[str, str] = Field(
        min_length=1,
        max_length=118,
        description="Element → pseudopotential file, below the image's $ABI_PSPDIR or an absolute path in it.",
    )
    extra: dict[str, Any] = Field(
        {},
        description="Further ABINIT input variables, as they are; arrays over atom types as {element: value}. "
        "Default: none.",
    )
    command: list[str] = Field(
        ["abinit"],
        min_length=1,
        max_length=32,
        description='How the engine is started in its image. Default ["abinit"].',
    )

    @field_validator("pseudopotentials")
    @classmethod
    def _of_elements(cls, files: dict[str, str]) -> dict[str, str]:
        for element in files:
            if not _ELEMENT.fullmatch(element):
                raise ValueError(f"{element!r} is no element{_yaml_hint([element])}")
        return files

    @field_validator("extra")
    @classmethod
    def _fits_all_frames(cls, extra: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        elements = info.data.get("pseudopotentials", ())
        for name, value in extra.items():
            if isinstance(value, dict):
                _check_by_element(name, value, elements)
            # "*1" is ABINIT's word for one value however many there are
            elif _BY_TYPE.fullmatch(name) and len(elements) > 1 and not str(value).startswith("*"):
                raise ValueError(
                    f"{name} has a value for each type of atom, and every frame has its own types in its own order: "
                    f"give {{element: value}} for {', '.join(sorted(elements))}"
                )
        return extra


class XtbEngine(Strict):
    """GFN1-xTB by tblite, in the worker image; periodic systems at Γ only."""

    accuracy: Positive = Field(1.0, description="Numerical accuracy, as in tblite; smaller is tighter. Default 1.")
    electronic_temperature_kelvin: Positive = Field(300.0, description="Electronic temperature, in K. Default 300.")
    max_iterations: int = Field(
        250,
        ge=1,
        le=100000,
        description="SCF iterations before a frame counts as not converged. Default 250.",
    )


class AseEngine(Strict):
    """Any ASE calculator that the worker image can import."""

    calculator: str = Field(
        max_length=200,
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="Where it is: package.module:Class, e.g. ase.calculators.emt:EMT.",
    )
    parameters: dict[str, Any] = Field({}, description="Keyword arguments of its constructor. Default: none.")

    @field_validator("parameters")
    @classmethod
    def _not_misread(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        misread = _YAML_BOOLEANS.intersection(_keys_in(parameters))
        if misread:
            raise ValueError(f"no calculator has a parameter {min(misread)!r}{_yaml_hint(misread)}")
        return parameters


class Engine(ExactlyOne):
    """What computes labels: exactly one engine."""

    abinit: AbinitEngine | None = Field(None, description="ABINIT in an image of its own.")
    xtb: XtbEngine | None = Field(None, description="GFN1-xTB (tblite) in the worker image.")
    ase: AseEngine | None = Field(None, description="An ASE calculator in the worker image.")
    program: ProgramEngine | None = Field(None, description="Any program in an image of its own.")

    @property
    def in_words(self) -> str:
        """What computes, and what decides its accuracy: enough to tell which reference a model was fitted to."""
        if self.abinit is not None:
            files = ", ".join(sorted(self.abinit.pseudopotentials.values()))
            return (
                f"ABINIT, {self.abinit.cutoff_ev:g} eV, k-points at most {self.abinit.k_spacing:g} 1/Å apart, {files}"
            )
        if self.program is not None:
            return f"the program {' '.join(self.program.command)}"
        return "GFN1-xTB" if self.ase is None else self.ase.calculator
