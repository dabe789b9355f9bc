"""What is computed: structures, molecular dynamics, selection, training. Written by users, read by stage containers."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from .base import ExactlyOne, Name, Strict, Uri, invalid_at

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
_NO_PLANE = "[0, 0, 0] is no plane"


class ModelFamily(StrEnum):
    """Whose checkpoint it is: that program runs and fine-tunes it."""

    DEEPMD = "deepmd"
    SEVENNET = "sevennet"

    @property
    def suffix(self) -> str:
        """The ending by which the family's checkpoints are known, wherever they lie."""
        return {ModelFamily.DEEPMD: ".pt", ModelFamily.SEVENNET: ".pth"}[self]


def family_of_file(name: str) -> ModelFamily:
    """Return the family of a checkpoint by the ending of its name."""
    sevennet = name.endswith(ModelFamily.SEVENNET.suffix)
    return ModelFamily.SEVENNET if sevennet else ModelFamily.DEEPMD


class ModelSource(ExactlyOne):
    """The pre-trained model: an object in the store, or a name that deepmd-kit or SevenNet knows."""

    uri: Uri | None = Field(None, description="Checkpoint in the object store, of deepmd-kit (.pt) or SevenNet (.pth).")
    pretrained: str | None = Field(
        None,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Name known to `dp pretrained download` or SevenNet, e.g. DPA-3.1-3M, 7net-0.",
    )
    branch: str | None = Field(
        None,
        max_length=64,
        description="Model branch (head) to start from; required when the checkpoint has several.",
    )

    @classmethod
    def union_members(cls) -> tuple[str, ...]:
        """The two sources."""
        return ("uri", "pretrained")

    @classmethod
    def companions(cls) -> dict[str, tuple[str, ...]]:
        """Checkpoints have branches."""
        return {"branch": ("uri", "pretrained")}

    @property
    def family(self) -> ModelFamily:
        """Whose model it is: told by the ending of the file, or by the name."""
        if self.uri is not None:
            return family_of_file(self.uri)
        sevennet = (self.pretrained or "").lower().startswith("7net")
        return ModelFamily.SEVENNET if sevennet else ModelFamily.DEEPMD


class ConfigMapKey(Strict):
    """One key of a ConfigMap in the job's namespace."""

    name: str = Field(max_length=253, description="Name of the ConfigMap.")
    key: str = Field(
        max_length=253,
        pattern=r"^[-._a-zA-Z0-9]+$",
        description="Key in the ConfigMap; its ending names the format.",
    )


class Structures(ExactlyOne):
    """Where structures come from: any format ASE reads (extended XYZ, CIF, POSCAR, …), known by the file's ending."""

    config_map: ConfigMapKey | None = Field(None, description="A key of a ConfigMap in the same namespace.")
    uri: Uri | None = Field(None, description="A file in the object store.")
    inline: str | None = Field(None, min_length=1, max_length=65536, description="Extended XYZ text.")


class Slab(Strict):
    """A surface cut from the given crystal by ase.build.surface."""

    miller: tuple[int, int, int] = Field(
        description="Miller indices.",
        json_schema_extra={"x-kubernetes-validations": [{"rule": "self.exists(i, i != 0)", "message": _NO_PLANE}]},
    )
    layers: int = Field(3, ge=1, le=20, description="Equivalent layers. Default 3.")
    vacuum: Positive = Field(10.0, le=100, description="Vacuum on both sides, in Å. Default 10.")

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
    slab: Slab | None = Field(None, description="Cut this surface before anything else. Default: keep the bulk.")


class System(Strict):
    """One material: its structures and how they are varied."""

    name: Name = Field(description="Name used in strata, reports and file names.")
    structures: Structures = Field(description="Start structures: exactly one of configMap, uri, inline.")
    perturb: Perturb = Field(Perturb(), description="Random variations of each structure.")

    @field_validator("name")
    @classmethod
    def _stays_text(cls, name: str) -> str:
        if re.fullmatch(r"[0-9]+(e[0-9]+)?|nan|inf|infinity|true|false|t|f", name):
            raise ValueError("extended XYZ files would take it for a number or a truth value: add a word to it")
        return name


class LabelledData(Strict):
    """Labelled frames that exist already."""

    uri: Uri = Field(
        description="Extended XYZ with energy (eV), forces (eV/Å) and stress or virial, in the object store."
    )


class Aimd(Strict):
    """Short ab-initio MD from perturbed structures; each step is one label."""

    trajectories: int = Field(
        4, ge=0, le=1000, description="Number of trajectories; starts are spread over the systems. Default 4."
    )
    steps: int = Field(5, ge=1, le=1000, description="MD steps, hence labels, in each trajectory. Default 5.")
    temperature_kelvin: Positive = Field(
        300.0, le=20000, description="Temperature of the initial velocities, in K. Default 300."
    )
    timestep_fs: Positive = Field(2.0, le=20, description="Timestep, in fs. Default 2.")


class HoldOut(Strict):
    """The frozen hold-out: DFT-labelled frames of trajectories of their own, never trained on."""

    frames: int = Field(
        16,
        ge=4,
        le=2000,
        description="Number of frames, spread evenly over systems, temperatures and pressures. Default 16.",
    )


class Ensemble(StrEnum):
    """Which quantities MD keeps constant."""

    NVE = "NVE"
    NVT = "NVT"
    NPT = "NPT"


class Barostat(StrEnum):
    """What of the cell NPT lets move."""

    ISOTROPIC = "Isotropic"
    """The volume: liquids have no shape to keep, and small cells shear themselves into nonsense."""
    FLEXIBLE = "Flexible"
    """Lengths and angles."""


class ExplorationStage(Strict):
    """One set of MD conditions; every combination of temperature and pressure is run for every system."""

    ensemble: Ensemble = Field(Ensemble.NPT, description="NVE, NVT or NPT. Default NPT.")
    temperatures_kelvin: list[Positive] = Field(min_length=1, max_length=32, description="Temperatures, in K.")
    pressures_bar: list[float] = Field(
        [1.0], min_length=1, max_length=32, description="Pressures, in bar; used by NPT only. Default [1]."
    )
    barostat: Barostat = Field(
        Barostat.ISOTROPIC,
        description="What NPT moves: the volume, or with Flexible the whole cell. Default Isotropic.",
    )
    timestep_fs: Positive = Field(2.0, le=20, description="Timestep, in fs. Default 2.")
    steps: int = Field(1000, ge=1, le=100_000_000, description="MD steps of each trajectory. Default 1000.")
    sample_every: int = Field(10, ge=1, description="Steps between candidate frames. Default 10.")
    replicas: int = Field(
        1,
        ge=1,
        le=64,
        description="Trajectories for each condition, each from another start and seed. Default 1.",
    )

    @model_validator(mode="after")
    def _gives_a_candidate(self) -> ExplorationStage:
        if self.sample_every > self.steps:
            words = f"with {self.steps} steps no trajectory gives a frame: sampleEvery must not be larger than steps"
            raise invalid_at(("sampleEvery",), words, self.sample_every)
        return self


class Exploration(Strict):
    """MD with the current model: where new configurations come from. Every iteration runs all the stages given."""

    stages: list[ExplorationStage] = Field(min_length=1, max_length=16, description="MD conditions.")
    pods: int = Field(1, ge=1, le=1000, description="Pods the trajectories are spread over. Default 1.")


class NoveltyMeasure(StrEnum):
    """What makes a candidate frame new."""

    DISTANCE = "Distance"
    """How far it is from the nearest labelled frame, by the model's features."""
    UNCERTAINTY = "Uncertainty"
    """How little the labels so far determine a linear model of those features there."""


class Selection(Strict):
    """How candidate frames become the frames that are labelled."""

    frames_per_iteration: int = Field(20, ge=1, le=10000, description="Frames labelled in each iteration. Default 20.")
    representative_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share sampled evenly from the MD, to measure the model; the rest is what is new to it. "
        "Default 0.5.",
    )
    novelty: NoveltyMeasure = Field(
        NoveltyMeasure.DISTANCE,
        description="What is new: far from labelled frames, or uncertain to a linear model of them. Default Distance.",
    )
    low_energy_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share that is lowest in energy per atom of its composition. Default 0.",
    )
    min_distance_factor: float = Field(
        0.6,
        gt=0,
        le=1.5,
        description="Frames with atoms closer than this times the sum of covalent radii are dropped. Default 0.6.",
    )
    close_contact_fraction: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Share in which two atoms are pushed together, to learn what repels them. Default 0.",
    )


class Training(Strict):
    """Fine-tuning by the program of the model: deepmd-kit (PyTorch backend) or SevenNet."""

    steps: int = Field(2000, ge=1, le=100_000_000, description="Training steps in each iteration. Default 2000.")
    batch_size: int = Field(1, ge=1, le=4096, description="Frames in a batch. Default 1.")
    nodes: int = Field(
        1, ge=1, le=64, description="Pods that train together; each process takes batches of its own. Default 1."
    )
    learning_rate_start: Positive = Field(
        2e-4, lt=1, description="First learning rate. Default 2e-4, which keeps what the model knows."
    )
    learning_rate_stop: Positive = Field(1e-6, lt=1, description="Last learning rate. Default 1e-6.")
    validation_fraction: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Part of the training frames that only picks the best checkpoint. Default 0.1.",
    )
    checkpoint_seconds: int = Field(
        300, ge=5, le=86400, description="Time between uploaded checkpoints, in s. Default 300."
    )
    template: dict[str, Any] = Field(
        {},
        description="Any part of the training program's input, laid over ours (a loss replaces ours); "
        "unknown keys are refused.",
    )


class ErrorLimits(Strict):
    """Largest errors, and how often in a row all of them have to hold."""

    force_rmse: Positive = Field(alias="forceRMSE", description="Root-mean-square error of force components, in eV/Å.")
    energy_rmse_per_atom: Positive | None = Field(
        None, alias="energyRMSEPerAtom", description="RMSE of the energy per atom, in eV."
    )
    virial_rmse_per_atom: Positive | None = Field(
        None, alias="virialRMSEPerAtom", description="RMSE of virial components per atom, in eV."
    )
    consecutive: int = Field(2, ge=1, le=100, description="Iterations in a row in which all limits hold. Default 2.")


class Convergence(ErrorLimits):
    """When the model is good: all given limits hold, for unseen labels and for the hold-out."""

    confidence: float | None = Field(
        None,
        ge=0.5,
        le=0.999,
        description="Probability with which the RMSEs are within their limits: compares the upper end of the one-sided "
        "interval, e.g. at 0.95. Default: the RMSEs themselves.",
    )
    every_stratum: bool = Field(
        False,
        description="The RMSEs of each system, temperature and pressure are within the limits, too. Default false.",
    )
    novel_fraction: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Largest part of the MD's candidate frames that is new to the training set. Default: no limit.",
    )
    exploded_fraction: float | None = Field(
        None, ge=0, le=1, description="Largest part of the MD's trajectories that explode. Default: no limit."
    )


class S3Location(Strict):
    """Where artifacts live."""

    bucket: str = Field(
        min_length=3,
        max_length=63,
        pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
        description="Bucket; it must exist.",
    )
    prefix: str = Field(
        "",
        max_length=512,
        pattern=r"^[A-Za-z0-9._/=-]*$",
        description="Key prefix. Jobs under one prefix share labels and finished stages.",
    )
    endpoint: str | None = Field(
        None, max_length=512, pattern=r"^https?://.+", description="Endpoint URL; default: AWS."
    )
    region: str = Field("us-east-1", max_length=64, description="Region. Default us-east-1.")
    path_style: bool = Field(
        True, description="Address buckets by path (most S3 servers other than AWS). Default true."
    )


class StoreLocation(ExactlyOne):
    """The object store of a stage: S3 in a cluster, a folder in a shell."""

    s3: S3Location | None = Field(None, description="S3 or anything that speaks it.")
    directory: Annotated[str, Field(pattern=r"^file:///.+")] | None = Field(
        None, description="A folder, as file:///path."
    )


class MdTask(Strict):
    """One trajectory: system, conditions and seed."""

    system: str
    stage: int
    ensemble: Ensemble
    temperature_kelvin: float
    pressure_bar: float | None
    barostat: Barostat = Barostat.ISOTROPIC
    timestep_fs: float
    steps: int
    sample_every: int
    replica: int
    seed: int

    @property
    def stratum(self) -> str:
        """Name of the (system, temperature, pressure) group whose error is reported separately."""
        pressure = "" if self.pressure_bar is None else f"/{self.pressure_bar:g}bar"
        return f"{self.system}/{self.temperature_kelvin:g}K{pressure}"


def temperature_of(stratum: str) -> float | None:
    """Return the temperature that a stratum's name says, in K; None if its frames are of no MD."""
    found = re.fullmatch(r"[^/]+/([0-9.e+]+)K(/.*)?", stratum)
    return None if found is None else float(found[1])


Purpose = Literal["hold-out", "training"]
NOISE = "noise"
"""Purpose of a hold-out frame that is computed once more, by tighter settings."""
