"""What labels are computed with: the engines, and how their calculations are spread over pods."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from .base import ExactlyOne, Positive, Strict, invalid_at, moved_to
from .program import ProgramEngine

OTHER_METHOD = frozenset({"pseudopotentials", "command", "calculator", "filesFrom", "requires", "output"})
"""Settings that say what is computed, not how accurately."""
PROGRAM_NEEDS_IMAGE = "labeling.engine.program runs in an image of yours: name it here"
_NOISE_SETTINGS = ("noiseCheck", "settings")

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


class NoiseCheck(Strict):
    """How far the reference itself is from tighter settings of the same engine."""

    frames: int = Field(
        4, ge=1, le=1000, description="Hold-out frames computed once more, each of them one label. Default 4."
    )
    farthest: int = Field(
        1,
        ge=0,
        le=1000,
        description="Frames to train on computed once more in each later iteration, those farthest from what was "
        "labelled before, each of them one label on top of selection.framesPerIteration; 0: none. Default 1.",
    )
    settings: dict[str, Any] = Field(
        description="Settings in place of those of the engine, e.g. {cutoffEv: 400, kSpacing: 0.5}."
    )


class FailureLimit(Strict):
    """How many labels may fail, whatever labels."""

    max_failed_fraction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="The job fails if more than this fraction of the hold-out's calculations, or of all others in a "
        "stage, failed; an AIMD trajectory counts as one. Default 0.2.",
    )


class LabelPods(FailureLimit):
    """How labels are shared out among pods, whatever labels."""

    frames_per_pod: int
    parallelism: int


class Labeling(LabelPods):
    """Reference calculations."""

    engine: Engine = Field(description="The engine and its physics: exactly one of abinit, xtb, ase, program.")
    image: str | None = Field(
        None,
        max_length=512,
        description="Image of the engine (ase, xtb: a worker image). Default: that of the chart; program has none.",
    )
    parallelism: int = Field(4, ge=1, le=10000, description="Label pods at a time. Default 4.")
    frames_per_pod: int = Field(
        1, ge=1, le=10000, description="Calculations run one after another in one pod. Default 1."
    )
    timeout_seconds: int = Field(
        3600, ge=10, le=604800, description="Longest time for one calculation, in s. Default 3600."
    )
    noise_check: NoiseCheck | None = Field(
        None,
        description="Also label some hold-out frames with tighter settings: the difference is the labels' own noise, "
        "and model errors below it say nothing. And the newest of the frames to train on: labels far noisier than "
        "those are remarked. Default: none.",
    )

    def tighter(self) -> Engine | None:
        """Return the engine of the noise check.

        Raises
        ------
        ValidationError
            If its settings are none of the engine's, change nothing, or make it another method.
        """
        if self.noise_check is None:
            return None
        name, settings = self.engine.chosen()
        other = sorted(OTHER_METHOD & set(self.noise_check.settings))
        if other:
            words = f"{', '.join(other)} would be another method, not tighter settings"
            raise invalid_at(_NOISE_SETTINGS, words, self.noise_check.settings)
        try:
            tighter = type(settings).model_validate(_changed(settings.to_json(), self.noise_check.settings))
        except ValidationError as error:
            raise moved_to(_NOISE_SETTINGS, error) from error
        if tighter == settings:
            words = "nothing in them differs from the engine's own settings"
            raise invalid_at(_NOISE_SETTINGS, words, self.noise_check.settings)
        return Engine(**{name: tighter})

    @model_validator(mode="after")
    def _noise_can_be_checked(self) -> Labeling:
        self.tighter()
        return self

    @model_validator(mode="after")
    def _a_program_has_an_image(self) -> Labeling:
        if self.engine.program is not None and self.image is None:
            raise invalid_at(("image",), PROGRAM_NEEDS_IMAGE, None)
        return self


def _changed(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with others in their place; of files, those that are named."""
    changed = settings | changes
    if isinstance(settings.get("files"), dict) and isinstance(changes.get("files"), dict):
        changed["files"] = settings["files"] | changes["files"]
    return changed
