"""Accepted or refused: what was measured against what was asked. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pfd_operator.contract.distill import Acceptance
from pfd_worker.acceptance.results import Group, Results

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


def judge(acceptance: Acceptance, results: Results) -> list[Check]:
    """Compare every limit that was asked for with its figure.

    Parameters
    ----------
    acceptance
        What is asked.
    results
        What was measured. A limit without its figure is a check that failed, with the reason from `results.missing`.

    Returns
    -------
    list of Check
        In a fixed order.
    """
    return [
        *_errors(acceptance, results),
        *_ratio(acceptance, results),
        *_speed(acceptance, results),
        *_dynamics(acceptance, results),
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


def _errors(acceptance: Acceptance, results: Results) -> Iterator[Check]:
    errors = results.errors.holdout
    why = "no frame of the hold-out has a virial" if errors else "there is no hold-out labelled by the teacher"
    for word, key, unit in _ERRORS:
        limit = getattr(acceptance, key)
        if limit is not None:
            value = None if errors is None else getattr(errors, key)
            share = None if word != "Force" or errors is None else errors.force_share
            beside = "" if share is None else f" ({100 * share:.0f} % of the RMS force)"
            name = f"{word}Rmse{'' if word == 'Force' else 'PerAtom'}AgainstTeacher"
            yield _compared(name, f"{word.lower()} RMSE against the teacher", value, limit, unit, why, beside)


def _ratio(acceptance: Acceptance, results: Results) -> Iterator[Check]:
    limit = acceptance.dft_force_ratio
    if limit is None:
        return
    dft, teacher = results.errors.dft, results.errors.teacher_dft
    value, why, beside = None, results.missing.get(Group.DFT, "there is no hold-out labelled by DFT"), ""
    if dft is not None:
        why = "the teacher's own error against DFT was not measured or is zero"
        if teacher is not None and teacher.force_rmse > 0:
            value = dft.force_rmse / teacher.force_rmse
            error = results.dft_force_ratio_error
            scatter = "" if error is None else f"; standard error over {dft.trajectories} trajectories {error:.2g}"
            beside = f" ({dft.force_rmse:.4g} to {teacher.force_rmse:.4g} eV/Å{scatter})"
    what = "force RMSE against DFT over the teacher's own"
    yield _compared("ForceRmseAgainstDftOverTeacher", what, value, limit, "", why, beside)


def _speed(acceptance: Acceptance, results: Results) -> Iterator[Check]:
    limit = acceptance.speedup
    if limit is None:
        return
    asked = acceptance.sizes[0]
    atoms = results.cell_sizes.get(asked, asked)
    system = f" of {results.speed_system}" if results.speed_system else ""
    what = f"speed-up over the teacher at {atoms} atoms{system}"
    factor, why = results.speed_up.get(asked), f"not both models were timed at {atoms} atoms"
    if not asked / OTHER_SIZE_FACTOR <= atoms <= asked * OTHER_SIZE_FACTOR:
        factor, why = None, f"no cell of this structure is near {asked} atoms, the first of sizes"
    few = results.fewer_steps(asked)
    beside = f" ({few})" if few else ""
    yield _compared(f"SpeedUpAt{asked}Atoms", what, factor, limit, "×", why, beside, at_least=True)


def _dynamics(acceptance: Acceptance, results: Results) -> Iterator[Check]:
    yield _stability(acceptance.stable_md_picoseconds, results)
    if acceptance.nve_drift_mev_per_atom_ps is not None:
        yield _drift(acceptance.nve_drift_mev_per_atom_ps, results)
    if acceptance.rdf_overlap is not None:
        yield _rdf(acceptance.rdf_overlap, results)


def _stability(limit: float, results: Results) -> Check:
    what, value, beside = "stable MD", None, ""
    runs = results.shortest_runs
    if runs:
        system = _smallest({name: run.picoseconds for name, run in runs.items()})
        run = runs[system]
        value = run.picoseconds
        what += _of(system, "shortest", len(runs))
        beside = f" (at {run.words}: {run.reason})" if run.reason else ""
    return _compared("StablePicoseconds", what, value, limit, "ps", "no MD was run", beside, at_least=True)


def _drift(limit: float, results: Results) -> Check:
    why = results.missing.get(Group.NVE_DRIFT, "no MD at constant energy was run")
    what, value = "drift of the total energy at constant energy", None
    drift = results.drift
    if drift and Group.NVE_DRIFT not in results.missing:
        system = _smallest({name: -abs(each) for name, each in drift.items()})
        value = abs(drift[system])
        what += _of(system, "largest", len(drift))
    return _compared("NveDrift", what, value, limit, "meV/atom/ps", why)


def _rdf(limit: float, results: Results) -> Check:
    why = results.missing.get(Group.RDF_OVERLAP, "there are no trajectories to compare")
    what, value, beside = "overlap of g(r) with the teacher's", None, ""
    every = {(system, pair): value for system, pairs in results.rdf_overlap.items() for pair, value in pairs.items()}
    if every and Group.RDF_OVERLAP not in results.missing:
        system, pair = _smallest(every)
        value = every[system, pair]
        what += f", worst pair {pair} of {system},"
        own = results.rdf_overlap_of_teacher.get(system)
        beside = "" if own is None else f" (two parts of the teacher's own MD overlap by {own:.4g})"
    return _compared("RdfOverlap", what, value, limit, "", why, beside, at_least=True)


def _smallest(values: Mapping[_Key, float]) -> _Key:
    # NaN compares as neither smaller nor larger: it must not hide behind a value that is well
    return min(values, key=lambda key: -math.inf if math.isnan(values[key]) else values[key])


def _of(system: str, which: str, systems: int) -> str:
    return f" of {system}" if systems == 1 else f" of {system}, the {which} of {systems} systems,"


def _compared(
    name: str,
    what: str,
    value: float | None,
    limit: float,
    unit: str,
    why: str,
    beside: str = "",
    at_least: bool = False,
) -> Check:
    """Return the check of a figure that may be at most the limit, or has to be at least that."""
    space = "" if unit in ("", "×") else " "
    allowed = f"{limit:.4g}{space}{unit}"
    if value is None:
        return Check(name, None, limit, unit, False, f"{what}: not measured, {why} (asked for: {allowed})")
    if not math.isfinite(value):
        return Check(name, None, limit, unit, False, f"{what}: not a number{beside} (asked for: {allowed})")
    met = value >= limit if at_least else value <= limit
    holds, fails = ("at least", "less than") if at_least else ("at most", "more than")
    message = f"{what} is {value:.4g}{space}{unit}, {holds if met else fails} the {allowed} asked for{beside}"
    return Check(name, value, limit, unit, met, message)
