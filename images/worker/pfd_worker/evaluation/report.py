"""The full report behind the few numbers of a StageResult."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pfd_operator.contract.strata import exact_number, pressure_of, system_of, temperature_of
from pfd_worker.evaluation.errors import (
    FrameError,
    by,
    by_stratum,
    energy_rmse_per_atom,
    force_rmse,
    summarise,
)
from pfd_worker.evaluation.shift import without_shift


def error_report(errors: Sequence[FrameError]) -> dict[str, Any]:
    """Return metrics of all, of each stratum, system, temperature (in K), pressure (in bar) and element, as JSON.

    `energyRmsePerAtomShiftRemoved` is the energy error that remains after the best shift per element *on this very
    set*, which has taken its part of them: the error that relative energies see. None with no more frames than the
    shifts that they determine. It is a diagnosis, not a score, and none of the noise of labels, from whose energies the
    shift is taken before.
    """
    elements = sorted({symbol for error in errors for symbol in error.symbols})
    remaining = without_shift(errors, errors)
    return {
        **summarise(errors).to_json(),
        "energyRmsePerAtomShiftRemoved": energy_rmse_per_atom(remaining),
        "strata": {name: summarise(members).to_json() for name, members in by_stratum(errors).items()},
        "systems": {name: summarise(members).to_json() for name, members in by(errors, system_of).items()},
        "temperatures": _by_number(errors, temperature_of),
        "pressures": _by_number(errors, pressure_of),
        "elements": {element: {"forceRmse": force_rmse(errors, element)} for element in elements},
    }


def _by_number(errors: Sequence[FrameError], part: Callable[[str], float | None]) -> dict[str, Any]:
    return {exact_number(number): summarise(members).to_json() for number, members in by(errors, part).items()}
