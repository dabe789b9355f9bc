"""What stages tell later ones in their manifests, by the stage that writes it; the rest of it is in files.

Jobs that run have stored these names, which an upgrade must not take away. What earlier versions stored in another
form, or not at all, `store.left` brings into this one.
"""

from __future__ import annotations

from typing import Any, TypedDict


class ModelOrigin(TypedDict, total=False):
    """Where the model of a job is from: one of these."""

    source: str
    """Its address or name, as the spec has it."""
    calculator: str
    """The ASE calculator with its parameters."""


class PrepareSummary(ModelOrigin):
    """Of prepare."""

    elements: list[str]
    """In the order of the alphabet: features and a student have it, too."""
    systems: list[str]
    inputs_sha256: dict[str, str]
    """By what was read: `model`, `starts`, `systems/<name>` and so on."""


class TrajectorySummary(TypedDict):
    """Of a trajectory that was explored."""

    name: str
    stratum: str
    start: int
    steps_done: int
    exploded_at_step: int | None
    reason: str | None
    frames: int
    asked: int
    """Frames, had it not exploded."""
    mean_kelvin: float | None
    mean_bar: float | None


class ExploreSummary(TypedDict):
    """Of an index of explore."""

    trajectories: list[TrajectorySummary]
    feature_form: int
    """`FEATURE_FORM` of the features of its frames."""
    checkpoints: str | None
    """The work digest that its checkpoints are kept under; None of an earlier version, which kept none."""


class SelectSummary(TypedDict):
    """Of select."""

    force_error_bound: dict[str, float] | None
    """Percentile (`p90`) of the candidates → what the force RMSE of an MD frame should stay below, in eV/Å."""
    exploration: dict[str, Any]
    """`ExplorationCounts`."""
    asked_of_strata: dict[str, int]
    """Candidates that the MD would have given, had none of it exploded."""
    explore_pods: int
    explore_seconds: float


class LabelSummary(TypedDict):
    """Of an index of label."""

    labels: list[dict[str, Any]]
    """A `BookEntry` each: what they cost."""


class TrainSummary(TypedDict):
    """Of train."""

    checkpoints: str
    """The work digest that its checkpoints are kept under."""
    best_iteration: int | None
    """None: no trained model is better than the one given."""
    lowest: dict[str, list[float]]
    """Quantity → squares of errors on the hold-out, the lowest of the models that were preferred so far; empty if a
    worker of an earlier version has trained them."""
    baseline: dict[str, list[float]]
    """The same of the model that none may be worse than; empty without one, and of an earlier version."""
    metrics: dict[str, dict[str, Any]]
    """`ErrorMetrics` by their names in `TrainingErrors`, those of before any training included."""
    error_of_novelty: float | None
    """Force RMSE over novelty, below which 90 % of the new frames were; None if it could not be told."""
    feature_form: int
    """`FEATURE_FORM` of the features of its dataset, and of that novelty."""
    dynamics: str | None
    """`dynamics_digest` of the MD in its report; None if there is none in it."""
