"""Accepted or refused: what was measured against what was asked. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pfd_operator.contract.distill import Acceptance
from pfd_worker.acceptance.figures import Figures

_Key = TypeVar("_Key", str, tuple[str, str])
OTHER_SIZE_FACTOR = 2.0
"""A cell that is larger or smaller by more says nothing of the speed at the size asked for."""
_ERRORS = (
    ("Force", "force_rmse", "eV/Å"),
    ("Energy", "energy_rmse_per_atom", "eV/atom"),
    ("Virial", "virial_rmse_per_atom", "eV/atom"),
)


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


def judge(acceptance: Acceptance, figures: Figures) -> list[Check]:
    """Compare every limit that was asked for with its figure.

    Parameters
    ----------
    acceptance
        What is asked.
    figures
        What was measured. A limit without its figure is a check that failed, with the reason from `figures.missing`.

    Returns
    -------
    list of Check
        In a fixed order.
    """
    return [
        *_errors(acceptance, figures),
        *_ratio(acceptance, figures),
        *_speed(acceptance, figures),
        *_dynamics(acceptance, figures),
    ]


def accepted(checks: Sequence[Check]) -> bool:
    """Tell whether every check is met."""
    return all(check.met for check in checks)


def summary(checks: Sequence[Check]) -> str:
    """Return one sentence for a condition: what was refused and why, or that everything holds."""
    failed = [check.message for check in checks if not check.met]
    if failed:
        return f"{len(failed)} of {len(checks)} checks failed: {'; '.join(failed)}."
    return f"All {len(checks)} checks hold."


def _errors(acceptance: Acceptance, figures: Figures) -> Iterator[Check]:
    why = "no frame of the hold-out has a virial" if figures.teacher else "there is no hold-out labelled by the teacher"
    for word, key, unit in _ERRORS:
        limit = getattr(acceptance, key)
        if limit is not None:
            value = None if figures.teacher is None else getattr(figures.teacher, key)
            share = None if word != "Force" or figures.teacher is None else figures.teacher.force_share
            beside = "" if share is None else f" ({100 * share:.0f} % of the RMS force)"
            name = f"{word}Rmse{'' if word == 'Force' else 'PerAtom'}AgainstTeacher"
            yield _at_most(name, f"{word.lower()} RMSE against the teacher", value, limit, unit, why, beside)


def _ratio(acceptance: Acceptance, figures: Figures) -> Iterator[Check]:
    limit = acceptance.dft_force_ratio
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


def _speed(acceptance: Acceptance, figures: Figures) -> Iterator[Check]:
    limit = acceptance.speedup
    if limit is None:
        return
    asked = acceptance.sizes[0]
    atoms = figures.cell_sizes.get(asked, asked)
    system = f" of {figures.speed_system}" if figures.speed_system else ""
    what = f"speed-up over the teacher at {atoms} atoms{system}"
    factor, why = figures.speed_up.get(asked), f"not both models were timed at {atoms} atoms"
    if not asked / OTHER_SIZE_FACTOR <= atoms <= asked * OTHER_SIZE_FACTOR:
        factor, why = None, f"no cell of this structure is near {asked} atoms, the first of sizes"
    yield _at_least(f"SpeedUpAt{asked}Atoms", what, factor, limit, "×", why)


def _dynamics(acceptance: Acceptance, figures: Figures) -> Iterator[Check]:
    yield _stability(acceptance.stable_md_picoseconds, figures)
    if acceptance.nve_drift_mev_per_atom_ps is not None:
        yield _drift(acceptance.nve_drift_mev_per_atom_ps, figures)
    if acceptance.rdf_overlap is not None:
        yield _rdf(acceptance.rdf_overlap, figures)


def _stability(limit: float, figures: Figures) -> Check:
    what, value, beside = "stable MD", None, ""
    if figures.stable_picoseconds:
        system = _smallest(figures.stable_picoseconds)
        value = figures.stable_picoseconds[system]
        what += _of(system, "shortest", len(figures.stable_picoseconds))
        beside = f" ({figures.stability_notes[system]})" if system in figures.stability_notes else ""
    return _at_least("StablePicoseconds", what, value, limit, "ps", "no MD was run", beside)


def _drift(limit: float, figures: Figures) -> Check:
    why = figures.missing.get("nve_drift", "no MD at constant energy was run")
    what, value = "drift of the total energy at constant energy", None
    if figures.nve_drift and "nve_drift" not in figures.missing:
        system = _smallest({name: -abs(drift) for name, drift in figures.nve_drift.items()})
        value = abs(figures.nve_drift[system])
        what += _of(system, "largest", len(figures.nve_drift))
    return _at_most("NveDrift", what, value, limit, "meV/atom/ps", why)


def _rdf(limit: float, figures: Figures) -> Check:
    why = figures.missing.get("rdf_overlap", "there are no trajectories to compare")
    what, value, beside = "overlap of g(r) with the teacher's", None, ""
    every = {(system, pair): value for system, pairs in figures.rdf_overlap.items() for pair, value in pairs.items()}
    if every and "rdf_overlap" not in figures.missing:
        system, pair = _smallest(every)
        value = every[system, pair]
        what += f", worst pair {pair} of {system},"
        own = figures.rdf_overlap_of_teacher.get(system)
        beside = "" if own is None else f" (two parts of the teacher's own MD overlap by {own:.4g})"
    return _at_least("RdfOverlap", what, value, limit, "", why, beside)


def _smallest(values: Mapping[_Key, float]) -> _Key:
    # NaN compares as neither smaller nor larger: it must not hide behind a value that is well
    return min(values, key=lambda key: -math.inf if math.isnan(values[key]) else values[key])


def _of(system: str, which: str, systems: int) -> str:
    return f" of {system}" if systems == 1 else f" of {system}, the {which} of {systems} systems,"


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
