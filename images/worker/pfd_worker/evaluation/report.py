"""The full report behind the few numbers of a StageResult."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pfd_operator.contract.strata import exact_number
from pfd_worker.evaluation.errors import (
    FrameError,
    by_stratum,
    by_temperature,
    energy_rmse_per_atom,
    force_rmse,
    summarise,
)
from pfd_worker.evaluation.shift import without_shift


def error_report(errors: Sequence[FrameError]) -> dict[str, Any]:
    """Return metrics of the whole set, of each stratum, temperature (in K) and element, as JSON.

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
        "temperatures": {
            exact_number(t): summarise(members).to_json() for t, members in by_temperature(errors).items()
        },
        "elements": {element: {"forceRmse": force_rmse(errors, element)} for element in elements},
    }
