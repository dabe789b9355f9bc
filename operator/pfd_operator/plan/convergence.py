"""Is the model good? The verdict on an iteration, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from pfd_operator.api.status import IterationRecord
from pfd_operator.contract.limits import Convergence
from pfd_operator.contract.outcome import FEWEST_TRAJECTORIES_OF_INTERVAL, LARGE_FORCE_SHARE, ErrorMetrics, WorstStrata
from pfd_operator.contract.student_t import MANY_DEGREES, student_t

from .measured import Measured, decimal, recorded


class Measure(NamedTuple):
    """Labelled frames that errors are measured on."""

    place: str
    """How to say where."""
    more_trajectories: str = "Ask for more replicas (spec.exploration) and at least as many frames"
    """How to get frames of more trajectories, which intervals need."""
    strata_may_lack: bool = False
    """There may be no stratum with frames enough to be judged by itself: then the other measure alone decides."""


MEASURES = {
    "prequential": Measure("on the new labels", strata_may_lack=True),
    "holdout": Measure("on the hold-out"),
}
"""Both must hold: what the exploring model did not know, and the frozen frames nobody trains on."""
QUANTITIES = (
    ("force", "force_rmse", "force RMSE", "eV/Å"),
    ("energy", "energy_rmse_per_atom", "energy RMSE per atom", "eV"),
    ("virial", "virial_rmse_per_atom", "virial RMSE per atom", "eV"),
)
_TOLD_AT_ONCE = 2


@dataclass(frozen=True)
class Verdict:
    """Whether all limits held, and what stood farthest from its limit."""

    met: bool
    message: str


@dataclass(frozen=True)
class Check:
    """A limit and what is compared with it."""

    what: str
    value: float
    limit: float
    unit: str = ""

    @property
    def ratio(self) -> float:
        """Over 1 where the limit does not hold; a limit of 0 is one that nothing may exceed."""
        if self.limit == 0:
            return math.inf if self.value > 0 else 0.0
        return self.value / self.limit

    def __str__(self) -> str:
        size = f"{self.what} is {decimal(self.value)} {self.unit}".rstrip()
        if self.ratio <= 1:
            return f"{size}, within the limit of {self.limit:g}"
        excess = "" if math.isinf(self.ratio) else f"{100 * (self.ratio - 1):.0f} % "
        return f"{size}, {excess}above the limit of {self.limit:g}"


@dataclass(frozen=True)
class _Unknown:
    """A limit with nothing to compare it with: it does not hold."""

    message: str

    def __str__(self) -> str:
        return self.message


_Finding = Check | _Unknown


class _Asked(NamedTuple):
    """A quantity with a limit."""

    name: str
    key: str
    words: str
    unit: str
    limit: float


@dataclass(frozen=True)
class Criteria:
    """What an iteration is judged by."""

    limits: Convergence
    """All that are given must hold."""
    measures: Mapping[str, Measure] = field(default_factory=lambda: MEASURES)
    """Names of the errors that count, and what they are measured on."""
    left_out: str = ""
    """Which strata have no hold-out frame, as `strata_left_out` says it."""

    def judge(self, measured: Measured) -> Verdict:
        """Compare what train reported of an iteration, or what the status keeps of it, with the limits."""
        findings = [*self._errors(measured), *self._strata(measured), *self._exploration(measured)]
        unknown = [finding for finding in findings if isinstance(finding, _Unknown)]
        checks = [finding for finding in findings if isinstance(finding, Check)]
        checks.sort(key=lambda check: check.ratio, reverse=True)
        exceeded = [check for check in checks if check.ratio > 1]
        told = [str(item) for item in [*unknown, *(exceeded or checks[:1])]]
        more = len(exceeded) - _TOLD_AT_ONCE
        if more > 0:
            told = [*told[:-more], f"{more} more {'limit does' if more == 1 else 'limits do'} not hold"]
        told += self._left_to_others(measured)
        return Verdict(bool(checks) and not unknown and not exceeded, "; ".join(told))

    def held_at_last(self, iterations: Sequence[IterationRecord]) -> int:
        """Return in how many of the last iterations in a row the limits held, by what the status keeps of them."""
        count = 0
        for record in reversed(iterations):
            if not self.judge(recorded(record)).met:
                break
            count += 1
        return count

    def _errors(self, measured: Measured) -> Iterator[_Finding]:
        for name, measure in self.measures.items():
            metrics = measured.errors.get(name)
            if metrics is None:
                yield _Unknown(f"there is no error {measure.place} yet")
            else:
                yield from self._errors_in(measure, metrics)

    def _errors_in(self, measure: Measure, metrics: ErrorMetrics) -> Iterator[_Finding]:
        confidence = self.limits.confidence
        for _, key, words, unit, limit in self._asked:
            value, high = getattr(metrics, key), getattr(metrics, f"{key}_high")
            what = f"the {words} {measure.place}"
            if value is None:
                yield _Unknown(f"{what} is not known, since no frame has a virial")
            elif confidence is None:
                yield Check(what, value, limit, f"{unit}{_share(metrics) if key == 'force_rmse' else ''}")
            else:
                what = f"the upper end of {what} at {100 * confidence:g} % confidence"
                if high is None:
                    yield _Unknown(f"{what} is not known: {_why_no_interval(metrics, measure)}")
                else:
                    yield Check(what, upper_end(value, high, confidence, metrics.trajectories), limit, unit)

    @property
    def _asked(self) -> list[_Asked]:
        limits = [(quantity, getattr(self.limits, quantity[1])) for quantity in QUANTITIES]
        return [_Asked(*quantity, limit) for quantity, limit in limits if limit is not None]

    def _strata(self, measured: Measured) -> Iterator[_Finding]:
        if not self.limits.every_stratum:
            return
        for name, measure in self.measures.items():
            worst = measured.strata.get(name, WorstStrata())
            for asked in self._asked:
                error = getattr(worst, asked.name)
                if error is not None:
                    where = f"in {error.stratum}" if error.stratum else "in the worst stratum"
                    yield Check(f"the {asked.words} {measure.place} {where}", error.rmse, asked.limit, asked.unit)
                elif not measure.strata_may_lack:
                    yield _Unknown(
                        f"the {asked.words} {measure.place} is not known of any stratum: no frame has one, or the "
                        "worker did not report it"
                    )
        if self.left_out:
            yield _Unknown(self.left_out)

    def _left_to_others(self, measured: Measured) -> Iterator[str]:
        """Say what is judged by stratum on other frames only, since too few of these are of one stratum."""
        if not self.limits.every_stratum:
            return
        for name, measure in self.measures.items():
            worst = measured.strata.get(name, WorstStrata())
            lacking = [asked.words for asked in self._asked if getattr(worst, asked.name) is None]
            if measure.strata_may_lack and lacking:
                yield (
                    f"no stratum has frames enough {measure.place} to judge its {' and '.join(lacking)}, "
                    "so of strata the hold-out alone decides"
                )

    def _exploration(self, measured: Measured) -> Iterator[_Finding]:
        for limit, part, words, why in (
            (
                self.limits.novel_fraction,
                measured.novel,
                "candidate frames of the MD that is new to the training set",
                "the labelled frames are of too few trajectories to compare with (nine are needed, each with another "
                "one of its composition in its system), or the worker did not report it",
            ),
            (
                self.limits.exploded_fraction,
                measured.exploded,
                "trajectories of the MD that exploded",
                "not every explore pod told it",
            ),
        ):
            if limit is None:
                continue
            if part is None:
                yield _Unknown(f"the fraction of {words} is not known: {why}")
            else:
                yield Check(f"the fraction of {words} ({part})", float(Fraction(part)), limit)


def _share(metrics: ErrorMetrics) -> str:
    return "" if metrics.force_share is None else f" ({100 * metrics.force_share:.0f} % of the RMS force)"


def _why_no_interval(metrics: ErrorMetrics, measure: Measure) -> str:
    few, frames, number = f"fewer than {FEWEST_TRAJECTORIES_OF_INTERVAL}", metrics.frames, metrics.trajectories
    if number is None or number >= FEWEST_TRAJECTORIES_OF_INTERVAL:
        return f"{few} trajectories have one, or the worker did not report it"
    return (
        f"{frames} frame{'' if frames == 1 else 's'} of {number} "
        f"trajector{'y' if number == 1 else 'ies'}, {few}, give no interval. {measure.more_trajectories}"
    )


def upper_end(value: float, high: float, confidence: float, trajectories: int | None) -> float:
    """Return what an RMSE stays below with a probability: the upper end of a one-sided interval.

    Parameters
    ----------
    value
        The RMSE.
    high
        Upper end of its two-sided 95 % interval, which is the one-sided one of 97.5 %; the logarithms of others are as
        far from the RMSE's as quantiles of Student's t are from zero.
    confidence
        The probability, 0.5 or more.
    trajectories
        That the RMSE is of; None: an earlier version did not tell it, and its intervals were as of many.
    """
    if value <= 0 or high <= value:
        return max(value, high)
    degrees = MANY_DEGREES if trajectories is None else max(1, trajectories - 1)
    return value * math.exp(math.log(high / value) * student_t(confidence, degrees) / student_t(0.975, degrees))


def roughness(measured: Measured) -> str:
    """Say that the forces are far off on the hold-out, whatever limits they meet; nothing if they are not."""
    metrics = measured.errors.get("holdout")
    if metrics is None or metrics.force_share is None or not metrics.rough:
        return ""
    return (
        f"the force RMSE on the hold-out is {100 * metrics.force_share:.0f} % of the RMS force, more than "
        f"{100 * LARGE_FORCE_SHARE:.0f} %: MD with this model is rough, whatever limits hold"
    )
