"""What was measured in an iteration: out of a training's outcome, into the status as decimal strings, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pfd_operator.api.status import Errors, IterationRecord, JudgedErrors
from pfd_operator.contract.outcome import ErrorMetrics, StratumError, TrainOutcome, WorstStrata

_SHOWN = set(Errors.model_fields) - {"worst_stratum"}


@dataclass(frozen=True)
class Measured:
    """All that limits are compared with; what is not there is not known."""

    errors: Mapping[str, ErrorMetrics]
    strata: Mapping[str, WorstStrata] = field(default_factory=dict)
    """Of the sets of frames that are judged by stratum."""
    novel: str | None = None
    """Candidate frames new to the training set, of all: `7/120`."""
    exploded: str | None = None
    """Trajectories that exploded, of all: `1/8`."""


def measured_by(trained: TrainOutcome) -> Measured:
    """Return what a train stage found, to the digits that the status keeps: a limit is compared with what is shown."""
    explored = trained.exploration
    return Measured(
        errors={name: _as_shown(metrics) for name, metrics in trained.errors if metrics is not None},
        strata={name: _strata_as_shown(worst) for name, worst in trained.worst_strata if worst is not None},
        novel=_part(explored.novel, explored.candidates),
        exploded=_part(explored.exploded, explored.trajectories),
    )


def _as_shown(metrics: ErrorMetrics) -> ErrorMetrics:
    return metrics.model_copy(
        update={name: float(decimal(value)) for name, value in metrics if isinstance(value, float)}
    )


def _strata_as_shown(worst: WorstStrata) -> WorstStrata:
    return worst.model_copy(
        update={
            name: error.model_copy(update={"rmse": float(decimal(error.rmse))})
            for name, error in worst
            if error is not None
        }
    )


def _part(part: int | None, whole: int | None) -> str | None:
    return f"{part}/{whole}" if part is not None and whole else None


def recorded(record: IterationRecord) -> Measured:
    """Return what the status keeps of an iteration."""
    known = {name: errors for name, errors in _errors(record) if errors is not None}
    return Measured(
        errors={name: _metrics_of(errors) for name, errors in known.items()},
        strata={name: _strata_of(errors) for name, errors in known.items() if errors.strata},
        novel=record.novel,
        exploded=record.exploded,
    )


def _metrics_of(errors: JudgedErrors) -> ErrorMetrics:
    low, _, high = errors.force_rmse_interval.partition("–")
    return ErrorMetrics.model_validate(
        {
            "frames": errors.frames,
            "trajectories": errors.trajectories,
            "force_rmse": float(errors.force_rmse),
            "force_rmse_low": _float(low),
            "force_rmse_high": _float(high),
            "energy_rmse_per_atom": _float(errors.energy_rmse_per_atom),
            "energy_rmse_per_atom_high": _float(errors.energy_high),
            "virial_rmse_per_atom": _float(errors.virial_rmse_per_atom),
            "virial_rmse_per_atom_high": _float(errors.virial_high),
        }
    )


def _float(text: str | None) -> float | None:
    return float(text) if text else None


def _strata_of(errors: JudgedErrors) -> WorstStrata:
    # which stratum it was, the verdict has said
    return WorstStrata(**{name: StratumError(stratum="", rmse=float(rmse)) for name, rmse in errors.strata.items()})


def errors_of(metrics: ErrorMetrics | None) -> Errors | None:
    """Return measured errors as the status holds them: decimal strings."""
    if metrics is None:
        return None
    low, high = _decimal(metrics.force_rmse_low), _decimal(metrics.force_rmse_high)
    return Errors(
        force_rmse=decimal(metrics.force_rmse),
        force_rmse_interval=f"{low}–{high}" if low and high else "",
        energy_rmse_per_atom=_decimal(metrics.energy_rmse_per_atom),
        virial_rmse_per_atom=_decimal(metrics.virial_rmse_per_atom),
        frames=metrics.frames,
        worst_stratum=metrics.worst_stratum,
    )


def judged_errors(measured: Measured, name: str) -> JudgedErrors | None:
    """Return errors as the status holds them, with all that is needed to judge them by other limits later."""
    metrics, errors = measured.errors.get(name), errors_of(measured.errors.get(name))
    if metrics is None or errors is None:
        return None
    strata = measured.strata.get(name, WorstStrata())
    return JudgedErrors(
        **errors.model_dump(),
        trajectories=metrics.trajectories,
        energy_high=_decimal(metrics.energy_rmse_per_atom_high),
        virial_high=_decimal(metrics.virial_rmse_per_atom_high),
        strata={name: decimal(worst.rmse) for name, worst in strata if worst is not None},
    )


def thinned(record: IterationRecord) -> IterationRecord:
    """Return a record without what only limits are compared with, and without words."""
    kept = {name: errors and JudgedErrors(**errors.model_dump(include=_SHOWN)) for name, errors in _errors(record)}
    return record.model_copy(update={**kept, "message": ""})


def _errors(record: IterationRecord) -> list[tuple[str, JudgedErrors | None]]:
    return [("prequential", record.prequential), ("holdout", record.holdout)]


def _decimal(value: float | None) -> str | None:
    return None if value is None else decimal(value)


def decimal(value: float) -> str:
    """Return a measured value with four significant digits and no exponent."""
    text = f"{value:.4g}"
    return text if "e" not in text else f"{float(text):.10f}".rstrip("0").rstrip(".")
