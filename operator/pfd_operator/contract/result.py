"""StageResult: what a stage container says when it ends, in its termination message and by its exit code."""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from .base import Message
from .text import shortened

TERMINATION_MESSAGE_MAX_BYTES = 3584
"""Kubernetes keeps 4096 bytes and cuts the tail; a cut JSON is no JSON."""
FEWEST_FRAMES_OF_INTERVAL = 4
"""With fewer, resampling says nothing of what other frames would have given."""
_WORDS_STEP = 64


class ExitCode(IntEnum):
    """Exit codes of a stage container, shared by podFailurePolicy and the planner."""

    OK = 0
    USER_ERROR = 64
    """The spec or its inputs are wrong: no retry can help."""
    TRANSIENT = 75
    """Something outside failed: retry with back-off."""
    PREEMPTED = 85
    """Stopped by SIGTERM with its work saved: go on without counting an attempt."""


class Reason(StrEnum):
    """Why a stage failed, as a condition's reason."""

    UNKNOWN_ELEMENT = "UnknownElement"
    BRANCH_REQUIRED = "BranchRequired"
    UNKNOWN_BRANCH = "UnknownBranch"
    NOT_A_CHECKPOINT = "NotACheckpoint"
    MODEL_NOT_FOUND = "ModelNotFound"
    STRUCTURE_UNREADABLE = "StructureUnreadable"
    STRUCTURE_EMPTY = "StructureEmpty"
    ATOMS_OVERLAP = "AtomsOverlap"
    DATA_INVALID = "DataInvalid"
    PSEUDOPOTENTIAL_MISSING = "PseudopotentialMissing"
    ENGINE_MISSING = "EngineMissing"
    TRAINING_TEMPLATE_INVALID = "TrainingTemplateInvalid"
    STORE_DENIED = "StoreDenied"
    BUCKET_NOT_FOUND = "BucketNotFound"
    CA_BUNDLE_MISSING = "CABundleMissing"
    STORE_REFUSED = "StoreRefused"
    STORE_UNSUITABLE = "StoreUnsuitable"
    STORE_UNAVAILABLE = "StoreUnavailable"
    OBJECT_CORRUPT = "ObjectCorrupt"
    NO_CANDIDATES = "NoCandidates"
    LABELS_FAILED = "LabelsFailed"
    ENGINE_LOST = "EngineLost"
    NOT_A_NUMBER = "NotANumber"
    OUT_OF_MEMORY = "OutOfMemory"
    PREEMPTED = "Preempted"
    TRAINING_FAILED = "TrainingFailed"
    STUDENT_NOT_COMPRESSIBLE = "StudentNotCompressible"
    INTERNAL_ERROR = "InternalError"


class ErrorMetrics(Message):
    """Errors of a model on labelled frames."""

    frames: int
    force_rmse: float
    """Over all force components, in eV/Å."""
    force_rmse_low: float
    """Lower end of the 95 % bootstrap interval (over frames), in eV/Å."""
    force_rmse_high: float
    """Upper end of it, in eV/Å."""
    energy_rmse_per_atom: float | None = None
    """In eV; None only of label noise, where frames are too few to tell it."""
    energy_rmse_per_atom_high: float | None = None
    """Upper end of its 95 % interval, in eV; none of fewer than `FEWEST_FRAMES_OF_INTERVAL` frames."""
    virial_rmse_per_atom: float | None = None
    """Over the nine components, in eV; none if no frame has a virial."""
    virial_rmse_per_atom_high: float | None = None
    """Upper end of its 95 % interval, in eV; none where fewer frames than that have a virial."""
    worst_stratum: str | None = None
    """The (system, temperature, pressure) with the largest force error."""
    worst_stratum_force_rmse: float | None = None


class StratumError(Message):
    """An error of one stratum."""

    stratum: str
    rmse: float


class WorstStrata(Message):
    """The strata with the largest errors, of those with enough frames; none where no stratum has."""

    force: StratumError | None = None
    """In eV/Å."""
    energy: StratumError | None = None
    """Per atom, in eV."""
    virial: StratumError | None = None
    """Per atom, in eV."""


class AcceptanceCheck(Message):
    """One measure of a student, and its limit."""

    name: Annotated[str, Field(max_length=48)]
    met: bool
    message: Annotated[str, BeforeValidator(partial(shortened, length=200)), Field(max_length=200)]


class CautionReason(StrEnum):
    """What works, but should be known."""

    SHORT_CELLS = "CellsShorterThanTwiceTheCutoff"
    LIMIT_BELOW_NOISE = "LimitBelowLabelNoise"
    UNOBSERVED_ELEMENTS = "UnobservedElements"
    FEW_CANDIDATES = "FewCandidateFrames"
    BUDGET_BELOW_LIMITS = "BudgetBelowLimits"


class Caution(Message):
    """A remark on something that works."""

    reason: CautionReason
    message: Annotated[str, BeforeValidator(partial(shortened, length=320)), Field(max_length=320)]


class LabelCounts(Message):
    """The job's labels, counted in the store's ledger."""

    paid: int = 0
    """Calculations done for this job, failed ones included."""
    reused: int = 0
    """Found in the store: paid before, by this or another job."""
    failed: int = 0
    """Of the paid ones, those without a usable result."""
    wasted: int = 0
    """Calculations a kill cut off, so that they were started again."""


class StageResult(Message):
    """Outcome of one attempt at one stage (or one index of it)."""

    version: int = 1
    ok: bool
    digest: str | None = None
    """The digest the manifest was committed under; not the asked one if the stage knows more of its inputs: prepare
    what it read, others which indexes of another stage failed finally."""
    asked: str | None = None
    """The digest of the StageSpec, if it is another."""
    reused: bool = False
    """True if the manifest was there already and nothing was computed."""
    reason: Reason | None = None
    message: str = ""
    """For people: what, where, why, what to do."""
    labels: LabelCounts | None = None
    counts: dict[str, int] = {}
    """Sizes the planner needs (`tasks` and `labels` of select; of train `holdout_strata`, and `novel` of `candidates`
    and `exploded` of `trajectories`, where they are known) and others to read."""
    metrics: dict[str, ErrorMetrics] = {}
    """Of train: pretrained, shifted, labelNoise (iteration 0), prequential and farthest (later ones), holdout, best."""
    worst_strata: dict[str, WorstStrata] = {}
    """Of train: of prequential and holdout."""
    holdout_strata: list[str] = []
    """Of train: those of which the hold-out has frames; none if they take more room than there is."""
    best_iteration: int | None = None
    """Of train: whose model is the best on the hold-out so far."""
    model_uri: str | None = None
    """Of train: address of that best model. Of accept: of the exported one."""
    checks: Annotated[list[AcceptanceCheck], Field(max_length=12)] = []
    """Of accept."""
    figures: dict[str, float] = {}
    """Of accept: `speedup_<atoms>`."""
    caution: Caution | None = None
    """Of train."""
    seconds: float = 0.0

    def to_termination_message(self) -> str:
        """Return JSON that Kubernetes keeps whole.

        The names of strata give way first, then words for people, in their middle, the longest first.
        """
        text = self._as_text()
        if len(text.encode()) <= TERMINATION_MESSAGE_MAX_BYTES:
            return text
        bare = self.model_copy(update={"holdout_strata": []})
        for longest in range(TERMINATION_MESSAGE_MAX_BYTES, -1, -_WORDS_STEP):
            text = bare._with_words(longest)._as_text()
            if len(text.encode()) <= TERMINATION_MESSAGE_MAX_BYTES:
                break
        return text

    def _as_text(self) -> str:
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        return json.dumps(_short(content), ensure_ascii=False, separators=(",", ":"))

    def _with_words(self, longest: int) -> StageResult:
        """Return it with no text for people longer than so many characters."""
        return self.model_copy(
            update={
                "message": shortened(self.message, longest),
                "checks": [_in_few_words(each, longest) for each in self.checks],
                "caution": self.caution and _in_few_words(self.caution, longest),
            }
        )

    @classmethod
    def from_termination_message(cls, text: str) -> StageResult | None:
        """Parse a termination message; None if it is not a StageResult (it was lost, or another program wrote it)."""
        try:
            return cls.model_validate_json(text)
        except ValueError:
            return None


_Told = TypeVar("_Told", AcceptanceCheck, Caution)


def _in_few_words(told: _Told, longest: int) -> _Told:
    return told.model_copy(update={"message": shortened(told.message, longest)})


def _short(value: Any) -> Any:
    """Return JSON with six significant digits in every number with a fraction: more say nothing and take room."""
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


class Progress(Message):
    """What a running stage reports."""

    percent: Annotated[float, Field(ge=0, le=100)]
    message: Annotated[str, Field(max_length=256)] = ""
