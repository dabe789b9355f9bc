"""StageResult: what a stage container says when it ends, in its termination message and by its exit code."""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from .base import Message, Tally
from .digest import Digest
from .outcome import Outcome, StageOutcome
from .text import shortened

TERMINATION_MESSAGE_MAX_BYTES = 3584
"""Kubernetes keeps 4096 bytes and cuts the tail; a cut JSON is no JSON."""
_WORDS_STEP = 64
_FEW_WORDS = 128
"""Characters that still say what is wrong."""
_Kind = TypeVar("_Kind", bound=Outcome)


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
    GPU_UNUSABLE = "GpuUnusable"
    STORE_DENIED = "StoreDenied"
    BUCKET_NOT_FOUND = "BucketNotFound"
    CA_BUNDLE_MISSING = "CABundleMissing"
    STORE_REFUSED = "StoreRefused"
    STORE_UNSUITABLE = "StoreUnsuitable"
    STORE_UNAVAILABLE = "StoreUnavailable"
    OBJECT_CORRUPT = "ObjectCorrupt"
    ARTIFACT_LOST = "ArtifactLost"
    NO_CANDIDATES = "NoCandidates"
    LABELS_FAILED = "LabelsFailed"
    LABEL_BUDGET = "LabelBudgetExhausted"
    ENGINE_LOST = "EngineLost"
    NOT_A_NUMBER = "NotANumber"
    OUT_OF_MEMORY = "OutOfMemory"
    GPU_OUT_OF_MEMORY = "GpuOutOfMemory"
    PREEMPTED = "Preempted"
    TRAINING_FAILED = "TrainingFailed"
    STUDENT_NOT_COMPRESSIBLE = "StudentNotCompressible"
    INTERNAL_ERROR = "InternalError"


class CautionReason(StrEnum):
    """What works, but should be known."""

    SHORT_CELLS = "CellsShorterThanTwiceTheCutoff"
    SHORT_CELLS_OF_STUDENT = "CellsShortForStudent"
    LIMIT_BELOW_NOISE = "LimitBelowLabelNoise"
    NOT_LEARNED = "TrainingFramesNotLearned"
    LABELS_NOT_CONVERGED = "LabelsNotConverged"
    UNOBSERVED_ELEMENTS = "UnobservedElements"
    FEW_CANDIDATES = "FewCandidateFrames"
    FEW_STARTS = "FewStartsToLabel"
    LONG_TIMESTEP = "TimestepLongForHydrogen"
    LARGE_DISPLACEMENT = "DisplacementLargeForHydrogen"
    SHORT_MD = "MdTooShortForItsConditions"
    BUDGET_BELOW_LIMITS = "BudgetBelowLimits"
    UNEXPLORED = "StructuresNotExplored"
    NO_VIRIALS = "LabelsWithoutVirial"
    MASSES = "MassesNotTaken"
    ISOLATED_ATOMS = "IsolatedAtomsLeftOut"
    DFT_FRAMES_LEFT_OUT = "DftFramesLeftOut"
    FEW_TIMED_STEPS = "FewTimedSteps"
    HOLD_OUT_GIVEN = "DataInHoldOut"
    HOLD_OUT_SHRUNK = "HoldOutShrunk"
    HOLD_OUT_SPARSE = "FewCandidatesOfHoldOut"
    ZERO_OPEN = "EnergyZeroUndetermined"
    IDLE_GPUS = "GpusIdle"


class Caution(Message):
    """A remark on something that works."""

    reason: CautionReason
    message: Annotated[str, BeforeValidator(partial(shortened, length=320)), Field(max_length=320)]


class LabelCounts(Message):
    """The job's labels, counted in the store's ledger."""

    paid: Tally = 0
    """Calculations done for this job, failed ones included."""
    reused: Tally = 0
    """Found in the store: paid before, by this or another job."""
    failed: Tally = 0
    """Of the paid ones, those without a usable result."""
    wasted: Tally = 0
    """Calculations a kill cut off, so that they were started again."""


class StageResult(Message):
    """How one attempt at one stage (or one index of it) ended."""

    version: int = 1
    ok: bool
    digest: Digest | None = None
    """The digest the manifest was committed under, or would be by a label stage that the budget does not allow; not the
    asked one if the stage knows more of its inputs: prepare what it read, label what its engine is, others which
    indexes of another stage failed finally."""
    asked: Digest | None = None
    """The digest of the StageSpec, if it is another."""
    reused: bool = False
    """True if the manifest was there already and nothing was computed."""
    reason: Reason | None = None
    message: str = ""
    """For people: what, where, why, what to do."""
    labels: LabelCounts | None = None
    lacks: Tally | None = None
    """Labels that a label stage, which the budget does not allow, would pay for."""
    outcome: StageOutcome | None = None
    """What the stage found. None if it failed, and of pods that work on a result with the one that tells it."""
    model_uri: str | None = None
    """Of train: address of the best model so far. Of accept: of the exported one."""
    cautions: list[Caution] = []
    """Of prepare, explore, select, train and accept."""
    seconds: float = 0.0

    def found(self, kind: type[_Kind]) -> _Kind | None:
        """Return what the stage found, by a stage of this kind; None if it does not tell it, or is of another."""
        return self.outcome if isinstance(self.outcome, kind) else None

    def to_termination_message(self) -> str:
        """Return JSON that Kubernetes keeps whole.

        Words for people give way first, in their middle, the longest first, but to short ones only; then the names of
        strata, which a verdict may need; then all words.
        """
        bare = self.model_copy(update={"outcome": self.outcome and self.outcome.without_names()})
        for result, shortest in ((self, _FEW_WORDS), (bare, 0)):
            for longest in range(TERMINATION_MESSAGE_MAX_BYTES, shortest - 1, -_WORDS_STEP):
                text = result._in_few_words(longest)._as_text()
                if len(text.encode()) <= TERMINATION_MESSAGE_MAX_BYTES:
                    return text
        return text

    def _as_text(self) -> str:
        content = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        return json.dumps(_short(content), ensure_ascii=False, separators=(",", ":"))

    def _in_few_words(self, longest: int) -> StageResult:
        """Return it with no text for people longer than so many characters."""
        cautions = [each.model_copy(update={"message": shortened(each.message, longest)}) for each in self.cautions]
        outcome = self.outcome and self.outcome.in_few_words(longest)
        message = shortened(self.message, longest)
        return self.model_copy(update={"message": message, "cautions": cautions, "outcome": outcome})

    @classmethod
    def from_termination_message(cls, text: str) -> StageResult | None:
        """Parse a termination message; None if it is not a StageResult (it was lost, or another program wrote it)."""
        try:
            return cls.model_validate_json(text)
        except ValueError:
            return None


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
