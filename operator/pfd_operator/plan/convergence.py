"""Is the model good? The verdict on an iteration, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pfd_operator.api.status import Errors, IterationRecord
from pfd_operator.contract.result import ErrorMetrics
from pfd_operator.contract.settings import Convergence

MEASURES = {"prequential": "on the new labels", "holdout": "on the hold-out"}
"""Both must hold: what the exploring model did not know, and the frozen frames nobody trains on."""


@dataclass(frozen=True)
class Verdict:
    """Whether all limits held, and what stood farthest from its limit."""

    met: bool
    message: str


@dataclass(frozen=True)
class _Check:
    what: str
    value: float
    limit: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.value / self.limit

    def __str__(self) -> str:
        size = f"{self.what} is {decimal(self.value)} {self.unit}"
        if self.ratio <= 1:
            return f"{size}, within the limit of {self.limit:g}"
        return f"{size}, {100 * (self.ratio - 1):.0f} % above the limit of {self.limit:g}"


def judge(limits: Convergence, metrics: Mapping[str, ErrorMetrics], measures: Mapping[str, str] = MEASURES) -> Verdict:
    """Compare an iteration's errors with the limits.

    Parameters
    ----------
    limits
        The limits given; all of them must hold.
    metrics
        What train reported.
    measures
        Names of those that count, and how to say where they were measured.
    """
    checks: list[_Check] = []
    missing: list[str] = []
    for name, place in measures.items():
        measured = metrics.get(name)
        if measured is None:
            missing.append(f"there is no error {place} yet")
            continue
        for what, value, limit, unit in _criteria(limits, measured):
            if value is None:
                missing.append(f"the {what} {place} is not known, since no frame has a virial")
            else:
                checks.append(_Check(f"the {what} {place}", value, limit, unit))
    worst = max(checks, key=lambda check: check.ratio, default=None)
    if missing:
        return Verdict(False, "; ".join([*missing, *([str(worst)] if worst is not None else [])]))
    return Verdict(worst is not None and worst.ratio <= 1, str(worst))


def _criteria(limits: Convergence, measured: ErrorMetrics) -> list[tuple[str, float | None, float, str]]:
    given = [
        ("force RMSE", measured.force_rmse, limits.force_rmse, "eV/Å"),
        ("energy RMSE per atom", measured.energy_rmse_per_atom, limits.energy_rmse_per_atom, "eV"),
        ("virial RMSE per atom", measured.virial_rmse_per_atom, limits.virial_rmse_per_atom, "eV"),
    ]
    return [(what, value, limit, unit) for what, value, limit, unit in given if limit is not None]


def held_at_last(
    limits: Convergence, iterations: Sequence[IterationRecord], measures: Mapping[str, str] = MEASURES
) -> int:
    """Return in how many of the last iterations in a row the limits held, by what the status keeps of them."""
    count = 0
    for record in reversed(iterations):
        kept = {name: metrics for name in measures if (metrics := _metrics_of(getattr(record, name))) is not None}
        if not judge(limits, kept, measures).met:
            break
        count += 1
    return count


def _metrics_of(errors: Errors | None) -> ErrorMetrics | None:
    if errors is None:
        return None
    force, virial = float(errors.force_rmse), errors.virial_rmse_per_atom
    return ErrorMetrics(
        frames=errors.frames,
        force_rmse=force,
        force_rmse_low=force,
        force_rmse_high=force,
        energy_rmse_per_atom=float(errors.energy_rmse_per_atom),
        virial_rmse_per_atom=None if virial is None else float(virial),
    )


def errors_of(metrics: ErrorMetrics | None) -> Errors | None:
    """Return measured errors as the status holds them: decimal strings."""
    if metrics is None:
        return None
    return Errors(
        force_rmse=decimal(metrics.force_rmse),
        force_rmse_interval=f"{decimal(metrics.force_rmse_low)}–{decimal(metrics.force_rmse_high)}",
        energy_rmse_per_atom=decimal(metrics.energy_rmse_per_atom),
        virial_rmse_per_atom=None if metrics.virial_rmse_per_atom is None else decimal(metrics.virial_rmse_per_atom),
        frames=metrics.frames,
        worst_stratum=metrics.worst_stratum,
    )


def decimal(value: float) -> str:
    """Return a measured value with four significant digits and no exponent."""
    text = f"{value:.4g}"
    return text if "e" not in text else f"{float(text):.10f}".rstrip("0").rstrip(".")
