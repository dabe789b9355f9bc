"""Is the model good? The verdict on an iteration, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

from pfd_operator.api.status import Errors, IterationRecord, JobStatus, ModelRecord
from pfd_operator.contract.limits import Convergence, ErrorLimits
from pfd_operator.contract.outcome import FEWEST_TRAJECTORIES_OF_INTERVAL, LARGE_FORCE_SHARE, ErrorMetrics

from .measured import Measured, decimal, recorded

MEASURES = {"prequential": "on the new labels", "holdout": "on the hold-out"}
"""Both must hold: what the exploring model did not know, and the frozen frames nobody trains on."""
_QUANTITIES = (
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
class _Check:
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


_Finding = _Check | _Unknown


def judge(
    limits: ErrorLimits, measured: Measured, measures: Mapping[str, str] = MEASURES, left_out: str = ""
) -> Verdict:
    """Compare what was measured in an iteration with the limits.

    Parameters
    ----------
    limits
        The limits given; all of them must hold.
    measured
        What train reported, or what the status keeps of it.
    measures
        Names of the errors that count, and how to say where they were measured.
    left_out
        Which strata have no hold-out frame, as `strata_left_out` says it.
    """
    further = limits if isinstance(limits, Convergence) else None
    confidence = None if further is None else further.confidence
    findings = [
        finding
        for name, place in measures.items()
        for finding in _errors(limits, confidence, measured.errors.get(name), place)
    ]
    if further is not None and further.every_stratum:
        findings += _strata(limits, measured, measures)
        findings += [_Unknown(left_out)] if left_out else []
    if further is not None:
        findings += _exploration(further, measured)
    unknown = [finding for finding in findings if isinstance(finding, _Unknown)]
    checks = [finding for finding in findings if isinstance(finding, _Check)]
    checks.sort(key=lambda check: check.ratio, reverse=True)
    exceeded = [check for check in checks if check.ratio > 1]
    told = [str(item) for item in [*unknown, *(exceeded or checks[:1])]]
    more = len(exceeded) - _TOLD_AT_ONCE
    if more > 0:
        told = [*told[:-more], f"{more} more {'limit does' if more == 1 else 'limits do'} not hold"]
    return Verdict(bool(checks) and not unknown and not exceeded, "; ".join(told))


def _errors(
    limits: ErrorLimits, confidence: float | None, metrics: ErrorMetrics | None, place: str
) -> Iterator[_Finding]:
    if metrics is None:
        yield _Unknown(f"there is no error {place} yet")
        return
    for _, key, words, unit in _QUANTITIES:
        limit, value = getattr(limits, key), getattr(metrics, key)
        if limit is None:
            continue
        what = f"the {words} {place}"
        if value is None:
            yield _Unknown(f"{what} is not known, since no frame has a virial")
        elif confidence is None:
            yield _Check(what, value, limit, f"{unit}{_share(metrics) if key == 'force_rmse' else ''}")
        else:
            yield _upper_end(what, value, getattr(metrics, f"{key}_high"), metrics, confidence, limit, unit)


def _share(metrics: ErrorMetrics) -> str:
    return "" if metrics.force_share is None else f" ({100 * metrics.force_share:.0f} % of the RMS force)"


def roughness(measured: Measured) -> str:
    """Say that the forces are far off on the hold-out, whatever limits they meet; nothing if they are not."""
    metrics = measured.errors.get("holdout")
    if metrics is None or metrics.force_share is None or not metrics.rough:
        return ""
    return (
        f"the force RMSE on the hold-out is {100 * metrics.force_share:.0f} % of the RMS force, more than "
        f"{100 * LARGE_FORCE_SHARE:.0f} %: MD with this model is rough, whatever limits hold"
    )


def _upper_end(
    what: str, value: float, high: float | None, metrics: ErrorMetrics, confidence: float, limit: float, unit: str
) -> _Finding:
    what = f"the upper end of {what} at {100 * confidence:g} % confidence"
    if high is not None:
        return _Check(what, upper_end(value, high, confidence), limit, unit)
    few, frames, number = f"fewer than {FEWEST_TRAJECTORIES_OF_INTERVAL}", metrics.frames, metrics.trajectories
    if number is None or number >= FEWEST_TRAJECTORIES_OF_INTERVAL:
        return _Unknown(f"{what} is not known: {few} trajectories have one, or the worker did not report it")
    return _Unknown(
        f"{what} is not known: {frames} frame{'' if frames == 1 else 's'} of {number} "
        f"trajector{'y' if number == 1 else 'ies'}, {few}, give no interval. Ask for more replicas "
        "(spec.exploration) and at least as many frames"
    )


def upper_end(value: float, high: float, confidence: float) -> float:
    """Return what an RMSE stays below with a probability: the upper end of a one-sided interval.

    Parameters
    ----------
    value
        The RMSE.
    high
        Upper end of its two-sided 95 % interval, which is the one-sided one of 97.5 %; others follow from it as for a
        log-normal distribution.
    confidence
        The probability, 0.5 or more.
    """
    if value <= 0 or high <= value:
        return max(value, high)
    normal = NormalDist()
    return value * math.exp(math.log(high / value) * normal.inv_cdf(confidence) / normal.inv_cdf(0.975))


def _strata(limits: ErrorLimits, measured: Measured, measures: Mapping[str, str]) -> Iterator[_Finding]:
    known = {name: measured.strata[name] for name in measures if name in measured.strata}
    if not any(worst.force is not None for worst in known.values()):
        yield _Unknown("the errors of each stratum are not known: the worker did not report them")
    for name, worst in known.items():
        for quantity, key, words, unit in _QUANTITIES:
            limit, error = getattr(limits, key), getattr(worst, quantity)
            if limit is not None and error is not None:
                where = f"in {error.stratum}" if error.stratum else "in the worst stratum"
                yield _Check(f"the {words} {measures[name]} {where}", error.rmse, limit, unit)


def _exploration(limits: Convergence, measured: Measured) -> Iterator[_Finding]:
    for limit, part, words, why in (
        (
            limits.novel_fraction,
            measured.novel,
            "candidate frames of the MD that is new to the training set",
            "the labelled frames are of too few trajectories to compare with, or the worker did not report it",
        ),
        (
            limits.exploded_fraction,
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
            yield _Check(f"the fraction of {words} ({part})", float(Fraction(part)), limit)


def out_of_reach(limits: ErrorLimits, noise: Errors | None) -> str:
    """Say which limits are below the noise of the labels themselves; nothing if none is, or none is known."""
    if noise is None:
        return ""
    parts = []
    for _, key, words, unit in _QUANTITIES:
        limit, own = getattr(limits, key), getattr(noise, key)
        if limit is not None and own is not None and limit < float(own):
            parts.append(f"{words} {limit:g} {unit} (noise {own})")
    if not parts:
        return ""
    frames = f"{noise.frames} hold-out frame{'' if noise.frames == 1 else 's'}"
    return (
        f"Out of reach, by the noise of the labels themselves on {frames}: {', '.join(parts)}. "
        "Tighten spec.labeling.engine in a new job, or raise the limit"
    )


def converged(limits: ErrorLimits, status: JobStatus) -> bool:
    """Say whether the limits held in as many iterations in a row as asked for, and hold for the model that is kept.

    That is the one with the lowest force error, of this iteration or an earlier one: its energies may be worse.
    """
    return status.consecutive >= limits.consecutive and not kept_model_misses(limits, status.model, status.iterations)


def kept_model_misses(limits: ErrorLimits, model: ModelRecord | None, iterations: Sequence[IterationRecord]) -> str:
    """Say which limits the kept model exceeds on the hold-out; nothing if none, or if its errors are not known.

    Of an iteration whose record is thin, or that has none, only the errors themselves are known, which the model has.
    So it is of a model that no iteration trained.
    """
    if model is None or model.errors is None:
        return ""
    whose = f"iteration {model.iteration}'s" if model.fine_tuned else "the pre-trained one, shifted"
    place = f"of the model that is kept, {whose}, on the hold-out"
    own = (each for each in iterations if each.iteration == model.iteration and each.message and model.fine_tuned)
    record = next(own, None)
    if record is not None and record.holdout is not None:
        known = recorded(record)
        strata = {name: worst for name, worst in known.strata.items() if name == "holdout"}
        measured = Measured({"holdout": known.errors["holdout"]}, strata)
        verdict = judge(_of_errors(limits), measured, {"holdout": place})
        return "" if verdict.met else verdict.message
    checks = [
        _Check(f"the {words} {place}", float(value), limit, unit)
        for _, key, words, unit in _QUANTITIES
        if (limit := getattr(limits, key)) is not None and (value := getattr(model.errors, key)) is not None
    ]
    return "; ".join(str(check) for check in checks if check.ratio > 1)


def _of_errors(limits: ErrorLimits) -> ErrorLimits:
    """Return the limits without those of an exploration, which no model has by itself."""
    if not isinstance(limits, Convergence):
        return limits
    return limits.model_copy(update={"novel_fraction": None, "exploded_fraction": None})


def held_at_last(
    limits: ErrorLimits,
    iterations: Sequence[IterationRecord],
    measures: Mapping[str, str] = MEASURES,
    left_out: str = "",
) -> int:
    """Return in how many of the last iterations in a row the limits held, by what the status keeps of them."""
    count = 0
    for record in reversed(iterations):
        if not judge(limits, recorded(record), measures, left_out).met:
            break
        count += 1
    return count
