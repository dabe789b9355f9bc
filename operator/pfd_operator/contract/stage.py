"""StageSpec: all that a stage container is told. It travels in an annotation of the pod, so it stays under 16 KiB."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from .base import Name, Strict, Uri
from .digest import Digest, digest_of
from .distill import Acceptance
from .engine import AseEngine, Engine
from .exploration import Exploration
from .limits import Quantity
from .location import StoreLocation
from .model_source import ModelSource
from .selection import Aimd, Apart, NoveltyMeasure, Purpose
from .student import Student
from .systems import HoldOutData, LabelledData, Perturb
from .training import Training

STAGE_SPEC_MAX_BYTES = 16 * 1024
FIRST_NODE_VARIABLE = "PFD_FIRST_NODE"
"""Environment variable of a pod that trains with others: the host name of the first of them."""
GPUS_VARIABLE = "PFD_GPUS"
"""Environment variable of a worker whose container was given GPUs: how many."""
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Environment variable that Kubernetes sets in the pods of an Indexed Job."""
PROGRESS_VARIABLE = "PFD_PROGRESS_TOKEN"
"""Environment variable of a worker: the token that its reports of progress have to bring."""
STAGE_SPEC_FILE = "/etc/pfd/stage.json"
"""Where the downward API puts the StageSpec in every container of a stage."""
STAGE_SPEC_ANNOTATION = "pfd.dev/stage-spec"
STRUCTURES_DIRECTORY = "/etc/pfd/structures"
"""Structures out of ConfigMaps are mounted as <this>/<system>/<key>."""


class StageKind(StrEnum):
    """The stages; one module of the worker each."""

    PREPARE = "prepare"
    EXPLORE = "explore"
    SELECT = "select"
    LABEL = "label"
    TRAIN = "train"
    ACCEPT = "accept"


class Input(StrEnum):
    """What stages read, by the names that `StageSpec.inputs` has for it; which of them, the params of a stage say."""

    PREPARE = "prepare"
    MODEL = "model"
    EXPLORE = "explore"
    SELECT = "select"
    LABEL = "label"
    TRAIN = "train"
    HOLD_OUT = "holdout"
    HOLD_OUT_SELECT = "holdout-select"


class StageRef(Strict):
    """A finished stage whose outputs are read.

    Its manifest is `stages/<digest>/manifest.json`, or for an indexed stage
    `stages/<digest>/index-<i, 5 digits>/manifest.json` for i in 0 … completions - 1.
    """

    digest: Digest = Field(description="Where its results are: stages/<digest>/.")
    completions: int | None = Field(None, description="Pods of an indexed stage.")


class JobIdentity(Strict):
    """The custom resource a stage belongs to; its uid owns the ledger of paid labels."""

    namespace: str
    kind: str
    name: str
    uid: str


class BudgetSoFar(Strict):
    """What a job may cost, and has cost when a stage was started; no output of it depends on that but the report."""

    max_labels: int
    """What a label stage keeps to."""
    max_iterations: int
    gpu_hours: float | None = None
    """None: no limit."""
    gpu_hours_used: float = 0.0


class PreparedSystem(Strict):
    """A system with its structures as a path in the container or an address in the store."""

    name: Name
    structures: Uri | Annotated[str, Field(pattern=r"^/")]
    perturb: Perturb


class Params(Strict):
    """What a stage is told."""

    checked_only: ClassVar[frozenset[str]] = frozenset()
    """Fields that are checked, and on which no output depends: jobs that differ only in them share the outputs."""


class PrepareParams(Params):
    """Check and resolve everything the user gave; write perturbed starts."""

    checked_only: ClassVar[frozenset[str]] = frozenset({"training", "student", "engine", "dft_data"})
    stage: Literal[StageKind.PREPARE] = StageKind.PREPARE
    model: ModelSource | None = None
    calculator: AseEngine | None = None
    """An ASE calculator in place of a model; it can teach, not be trained."""
    systems: list[PreparedSystem] = []
    starts: Uri | None = None
    """Manifest of a prepare stage whose start structures are taken, if no systems are given."""
    data: list[LabelledData] = []
    holdout: list[HoldOutData] | None = None
    """The hold-out, if the user gives it."""
    dft_data: list[LabelledData] | None = None
    """What a student will be measured on; accept reads it again."""
    training: Training
    student: Student | None = None
    """The model that is trained, if it is not the one given."""
    engine: Engine | None = None
    """What labels, if it is not the model."""


class ExploreParams(Params):
    """Run MD with a model; inputs: `prepare`, `model` (a prepare or train stage)."""

    stage: Literal[StageKind.EXPLORE] = StageKind.EXPLORE
    purpose: Purpose
    systems: list[Name]
    exploration: Exploration
    without_pressure: list[Name] | None = None
    """Systems that keep their cell, as prepare tells; None: all have a pressure."""
    min_distance_factor: float
    apart: Apart = Apart.TRAJECTORIES
    """What decides which starts are the hold-out's."""


class SelectParams(Params):
    """Choose frames to label; inputs: `prepare`, for frames of MD `explore`, after iteration 0 `train` (the last)."""

    stage: Literal[StageKind.SELECT] = StageKind.SELECT
    purpose: Purpose
    frames: int = Field(ge=0)
    """Frames chosen out of MD, exactly this many if there are as many candidates."""
    representative_fraction: float = Field(ge=0, le=1)
    """Share of them that is an even sample of the MD; the others are new to the training set and to one another."""
    novelty: NoveltyMeasure = NoveltyMeasure.DISTANCE
    low_energy_fraction: float = Field(0.0, ge=0, le=1)
    """Share of them that is the lowest in energy per atom of each composition."""
    close_contact_fraction: float = Field(0.0, ge=0, le=1)
    """Share of them in which two atoms are pushed together."""
    min_distance_factor: float = 0.0
    """No other pair of theirs may be closer than this times the sum of its covalent radii."""
    aimd: Aimd | None = None
    """AIMD trajectories asked for on top, from the perturbed starts."""
    apart: Apart = Apart.TRAJECTORIES
    """What decides which of them are the hold-out's, and not AIMD's."""
    noise_frames: int | None = None
    """Frames out of those chosen that are computed once more by the tighter engine of label: the newest, or an even
    sample where nothing was labelled before."""


class LabelParams(Params):
    """Compute labels; inputs: `select`, `prepare`. Index i does tasks i·frames_per_pod … of its task list."""

    stage: Literal[StageKind.LABEL] = StageKind.LABEL
    engine: Engine | None = None
    """None: the model of `prepare` is the teacher."""
    tighter: Engine | None = None
    """What computes the frames that tell the engine's own noise."""
    frames_per_pod: int
    timeout_seconds: int
    memory: str | None = None
    """Memory limit of the engine's container: with another one, what was killed for want of it is tried again."""


class TrainParams(Params):
    """Train and evaluate; inputs: `prepare`, `label`, `select`, and after the first time `train` (the last one).

    The hold-out is of the user, in `prepare`, among the labels of `label`, or, if that is another stage, of `holdout`,
    with the tasks of `holdout-select`. The first time there is no `label` and `select` if nothing is to be labelled.
    """

    stage: Literal[StageKind.TRAIN] = StageKind.TRAIN
    training: Training
    max_failed_fraction: float = Field(ge=0, le=1)
    limited: list[Quantity] | None = None
    """What has a limit beside the forces, whatever its size: it counts when a model is compared with earlier ones."""
    student: Student | None = None
    """What is trained from scratch; None: the model of `prepare` is fine-tuned."""
    continues: bool | None = None
    """From a model of an earlier iteration, where there is one, instead of from the pre-trained one or from scratch.
    None if not: what is absent is in no digest, and an upgrade finds the checkpoints of a training that runs."""


class AcceptParams(Params):
    """Judge and export the student; inputs: `prepare`, `train`."""

    stage: Literal[StageKind.ACCEPT] = StageKind.ACCEPT
    acceptance: Acceptance
    student: Student
    exploration: Exploration
    """Its hottest and extreme conditions are those of the MD that the student has to survive."""
    dft_holdout: Uri | None = None
    """Manifest of a train stage that has the DFT hold-out; None where `acceptance` names other DFT frames."""
    teacher: str | None = None
    """The FineTuneJob that made the teacher, if one did."""
    reference: str | None = None
    """What labelled for it, in words."""


StageParams = Annotated[
    PrepareParams | ExploreParams | SelectParams | LabelParams | TrainParams | AcceptParams,
    Field(discriminator="stage"),
]


class StageSpec(Strict):
    """One attempt at one stage."""

    version: Literal[1] = 1
    job: JobIdentity
    iteration: int = Field(ge=0)
    attempt: int = Field(ge=1)
    seed: int
    """The job's, the same in all its stages: what has to differ by iteration or use, a stage derives by `seed_of`."""
    digest: str
    """Names the stage's outputs by its inputs: see `stage_digest`."""
    inputs: dict[str, StageRef] = {}
    store: StoreLocation
    params: StageParams
    budget: BudgetSoFar | None = None
    """None outside a cluster."""
    progress_url: str | None = None
    """Where progress may be POSTed; none outside a cluster."""

    @property
    def stage(self) -> StageKind:
        """The kind of stage."""
        return self.params.stage


def stage_digest(params: StageParams, seed: int, iteration: int, inputs: dict[str, StageRef], image: str) -> str:
    """Name a stage by everything that decides its outputs: settings, seed, inputs and image, and nothing else.

    Settings that are only checked are no part of it: with another student, another DFT engine, or trained otherwise, a
    job goes on with the same starts and first exploration.

    The job's name is not part of it: the same stage of another job is the same stage. What user addresses point to
    is not known here; `prepare` mixes the sha256 of what it read into the digest it reports, and `label` what it found
    of its engine. Nor is which indexes of an input failed finally; a stage that lacks some mixes them in.
    """
    return digest_of(
        {
            "params": params.to_json(without=params.checked_only),
            "seed": seed,
            "iteration": iteration,
            "inputs": {name: ref.to_json() for name, ref in inputs.items()},
            "image": image,
        }
    )
