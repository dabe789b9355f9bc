"""Accepted or refused: what was measured against what was asked. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pfd_operator.contract.result import ErrorMetrics

_ERRORS = (
    ("Force", "force_rmse", "eV/Å"),
    ("Energy", "energy_rmse_per_atom", "eV/atom"),
    ("Virial", "virial_rmse_per_atom", "eV/atom"),
)


@dataclass(frozen=True)
class ErrorLimits:
    """Largest errors on a hold-out; None: not asked for."""

    force_rmse: float | None = None
    """In eV/Å."""
    energy_rmse_per_atom: float | None = None
    """In eV."""
    virial_rmse_per_atom: float | None = None
    """In eV."""


@dataclass(frozen=True)
class Limits:
    """What is asked of a student; what is None or empty is not asked for."""

    teacher: ErrorLimits = ErrorLimits()
    """Against the teacher, on its hold-out."""
    dft: ErrorLimits = ErrorLimits()
    """Against DFT."""
    dft_force_rmse_over_teacher: float | None = None
    """Largest ratio of the student's force error against DFT to the teacher's own."""
    speed_up: Mapping[int, float] = field(default_factory=dict)
    """Atoms asked for → smallest speed-up over the teacher."""
    stable_picoseconds: float | None = None
    """MD at constant temperature and pressure without an explosion."""
    nve_drift: float | None = None
    """Largest drift of the total energy at constant energy, in meV/atom/ps, of either sign."""
    rdf_overlap: float | None = None
    """Smallest overlap of g(r) with the teacher's, over all pairs of elements; 0 to 1."""


@dataclass(frozen=True)
class Figures:
    """What was measured; None or empty is what could not be."""

    teacher: ErrorMetrics | None = None
    """Student against teacher."""
    dft: ErrorMetrics | None = None
    """Student against DFT."""
    teacher_dft: ErrorMetrics | None = None
    """Teacher against the same DFT."""
    speed_up: Mapping[int, float] = field(default_factory=dict)
    stable_picoseconds: float | None = None
    stability_note: str | None = None
    """Why MD ended early."""
    nve_drift: float | None = None
    rdf_overlap: Mapping[str, float] = field(default_factory=dict)
    """Pair of elements (`Si-Si`) → overlap."""
    rdf_overlap_of_teacher: float | None = None
    """Smallest overlap of the teacher's first half with its second: what no student can be asked to exceed."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Group (`teacher`, `dft`, `speed_up`, `stable_picoseconds`, `nve_drift`, `rdf_overlap`) → why it is not there."""


@dataclass(frozen=True)
class Check:
    """One limit and how it was met."""

    name: str
    """In CamelCase, fit for a key in a status."""
    value: float | None
    """None if it could not be measured or is not a number."""
    limit: float
    unit: str
    met: bool
    message: str
    """In words."""


def judge(limits: Limits, figures: Figures) -> list[Check]:
    """Compare every limit that was asked for with its figure.

    Parameters
    ----------
    limits
        What is asked.
    figures
        What was measured. A limit without its figure is a check that failed, with the reason from `figures.missing`.

    Returns
    -------
    list of Check
        In a fixed order; empty if nothing was asked.
    """
    return [*_errors(limits, figures), *_speed(limits, figures), *_dynamics(limits, figures)]


def accepted(checks: Sequence[Check]) -> bool:
    """Tell whether every check is met; with none asked, a student is accepted."""
    return all(check.met for check in checks)


def summary(checks: Sequence[Check]) -> str:
    """Return one sentence for a condition: what was refused and why, or that everything holds."""
    failed = [check.message for check in checks if not check.met]
    if failed:
        return f"{len(failed)} of {len(checks)} checks failed: {'; '.join(failed)}."
    return f"All {len(checks)} checks hold." if checks else "No limit was asked for."


def _errors(limits: Limits, figures: Figures) -> Iterator[Check]:
    for group, against, asked, measured in (
        ("teacher", "the teacher", limits.teacher, figures.teacher),
        ("dft", "DFT", limits.dft, figures.dft),
    ):
        for word, key, unit in _ERRORS:
            limit = getattr(asked, key)
            if limit is None:
                continue
            value = None if measured is None else getattr(measured, key)
            why = figures.missing.get(group) or (
                "no frame of the hold-out has a virial" if measured else f"there is no hold-out labelled by {against}"
            )
            beside = _teacher_beside(figures, key, unit) if group == "dft" else ""
            what = f"{word.lower()} RMSE against {against}"
            name = f"{word}Rmse{'' if word == 'Force' else 'PerAtom'}Against{group[0].upper()}{group[1:]}"
            yield _at_most(name, what, value, limit, unit, why, beside)
    yield from _ratio(limits, figures)


def _teacher_beside(figures: Figures, key: str, unit: str) -> str:
    own = None if figures.teacher_dft is None else getattr(figures.teacher_dft, key)
    return "" if own is None else f" (the teacher's own: {own:.4g} {unit})"


def _ratio(limits: Limits, figures: Figures) -> Iterator[Check]:
    limit = limits.dft_force_rmse_over_teacher
    if limit is None:
        return
    value, why, beside = None, figures.missing.get("dft", "there is no hold-out labelled by DFT"), ""
    if figures.dft is not None:
        why = "the teacher's own error against DFT was not measured or is zero"
        if figures.teacher_dft is not None and figures.teacher_dft.force_rmse > 0:
            value = figures.dft.force_rmse / figures.teacher_dft.force_rmse
            beside = f" ({figures.dft.force_rmse:.4g} to {figures.teacher_dft.force_rmse:.4g} eV/Å)"
    what = "force RMSE against DFT over the teacher's own"
    yield _at_most("ForceRmseAgainstDftOverTeacher", what, value, limit, "", why, beside)


def _speed(limits: Limits, figures: Figures) -> Iterator[Check]:
    for atoms, limit in sorted(limits.speed_up.items()):
        value = figures.speed_up.get(atoms)
        why = figures.missing.get("speed_up", f"not both models were timed at {atoms} atoms")
        what = f"speed-up over the teacher at about {atoms} atoms"
        yield _at_least(f"SpeedUpAt{atoms}Atoms", what, value, limit, "×", why)


def _dynamics(limits: Limits, figures: Figures) -> Iterator[Check]:
    missing = figures.missing
    if limits.stable_picoseconds is not None:
        beside = f" ({figures.stability_note})" if figures.stability_note else ""
        why = missing.get("stable_picoseconds", "no MD was run")
        value = figures.stable_picoseconds
        yield _at_least("StablePicoseconds", "stable MD", value, limits.stable_picoseconds, "ps", why, beside)
    if limits.nve_drift is not None:
        drift = None if figures.nve_drift is None else abs(figures.nve_drift)
        why = missing.get("nve_drift", "no MD at constant energy was run")
        what = "drift of the total energy at constant energy"
        yield _at_most("NveDrift", what, drift, limits.nve_drift, "meV/atom/ps", why)
    if limits.rdf_overlap is not None:
        yield _rdf(limits.rdf_overlap, figures)


def _rdf(limit: float, figures: Figures) -> Check:
    why = figures.missing.get("rdf_overlap", "there are no trajectories to compare")
    what, value, beside = "overlap of g(r) with the teacher's", None, ""
    if figures.rdf_overlap:
        # NaN compares as neither smaller nor larger: it must not hide behind a pair that is well
        pair = min(figures.rdf_overlap, key=lambda name: _nan_first(figures.rdf_overlap[name]))
        value = figures.rdf_overlap[pair]
        what += f", worst pair {pair},"
    if figures.rdf_overlap_of_teacher is not None:
        beside = f" (the teacher's two halves overlap by {figures.rdf_overlap_of_teacher:.4g})"
    return _at_least("RdfOverlap", what, value, limit, "", why, beside)


def _nan_first(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _at_most(name: str, what: str, value: float | None, limit: float, unit: str, why: str, beside: str = "") -> Check:
    met = value is not None and value <= limit
    return _check(name, what, value, limit, unit, met, "at most" if met else "more than", why, beside)


def _at_least(name: str, what: str, value: float | None, limit: float, unit: str, why: str, beside: str = "") -> Check:
    met = value is not None and value >= limit
    return _check(name, what, value, limit, unit, met, "at least" if met else "less than", why, beside)


def _check(
    name: str,
    what: str,
    value: float | None,
    limit: float,
    unit: str,
    met: bool,
    relation: str,
    why: str,
    beside: str,
) -> Check:
    space = "" if unit in ("", "×") else " "
    allowed = f"{limit:.4g}{space}{unit}"
    if value is None:
        return Check(name, None, limit, unit, False, f"{what}: not measured, {why} (asked for: {allowed})")
    if not math.isfinite(value):
        return Check(name, None, limit, unit, False, f"{what}: not a number{beside} (asked for: {allowed})")
    message = f"{what} is {value:.4g}{space}{unit}, {relation} the {allowed} asked for{beside}"
    return Check(name, value, limit, unit, met, message)
