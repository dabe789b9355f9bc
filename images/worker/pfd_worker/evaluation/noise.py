"""The noise of labels: how far they are from those that tighter settings of the same engine give."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from scipy.special import stdtrit

from pfd_operator.contract.outcome import ErrorMetrics
from pfd_operator.contract.result import Caution, CautionReason
from pfd_worker.evaluation.errors import (
    FrameError,
    energy_rmse_per_atom,
    force_rmse,
    frame_errors,
    virial_rmse_per_atom,
)
from pfd_worker.evaluation.shift import (
    apply_energy_shift,
    fit_energy_shift,
    independent_shifts,
    only_determined,
    without_shift,
)
from pfd_worker.models.base import Prediction

Difference = tuple[Atoms, FrameError]
"""A frame, and how far its label is from a tighter one."""
_FACTOR = 3.0
"""Times the hold-out's noise: hotter frames have more of it."""
_CERTAINTY = 0.99
"""Of sound labels, at least so many are closer."""
_UNITS = {"force": "eV/Å", "energy": "eV/atom", "virial": "eV/atom virial"}


def differences(tighter: Sequence[Atoms], frames: Sequence[Atoms]) -> list[Difference]:
    """Return the frames that there are tighter labels of, each with its own label's error."""
    tight = {_place(atoms): atoms for atoms in tighter}
    pairs = [atoms for atoms in frames if _place(atoms) in tight]
    loose = [Prediction.of_label(atoms) for atoms in pairs]
    return list(zip(pairs, frame_errors([tight[_place(atoms)] for atoms in pairs], loose), strict=True))


def label_noise(holdout: Sequence[Difference]) -> list[FrameError]:
    """Return the errors of hold-out labels without a shift of the energy; empty if there are none.

    A constant shift of the energy of each element is left out: settings move the zero of energy, and models follow it.

    Parameters
    ----------
    holdout
        Its `differences`.
    """
    errors = [error for _, error in holdout]
    return without_shift(errors, errors)


def training_noise(dataset: Sequence[Difference], holdout: Sequence[Difference]) -> list[Difference]:
    """Return frames to train on with the errors of their labels without the shift of the energy.

    The shift of the energies is that of the hold-out's frames, since labels that are not converged need not share it;
    where it does not follow from them, the energy is not known.

    Parameters
    ----------
    dataset, holdout
        Their `differences`.
    """
    known = [error for _, error in holdout]
    shifted = apply_energy_shift([error for _, error in dataset], fit_energy_shift(known))
    errors = only_determined(shifted, known)
    return [(atoms, error) for (atoms, _), error in zip(dataset, errors, strict=True)]


def not_converged(checked: Sequence[Difference], noise: Sequence[FrameError], model: ErrorMetrics) -> Caution | None:
    """Name the frame whose label is the furthest off, if one is by more than chance and more than the model errs.

    What is closer than the model's own error does not hold it back yet. Few frames tell the noise of energies and
    virials badly, and Student's distribution reckons with that.

    Parameters
    ----------
    checked
        As `training_noise` gives them.
    noise
        Of the hold-out, as `label_noise` gives it.
    model
        Errors of the best one on the hold-out.
    """
    if not noise:
        return None
    own, limits = _sizes(noise), _limits(noise, model)
    excess = [max(size / limits[name] for name, size in _sizes([e]).items() if name in limits) for _, e in checked]
    off = sum(each > 1 for each in excess)
    if not off:
        return None
    atoms, error = checked[int(np.argmax(excess))]
    far = {name: size for name, size in _sizes([error]).items() if size > limits.get(name, math.inf)}
    differences = ", ".join(f"{size:.2g} {_UNITS[name]} (hold-out {own[name]:.2g})" for name, size in far.items())
    message = (
        f"{off} of {len(checked)} labels compared with tighter ones are far off. Worst: "
        f"{atoms.info['trajectory']}, step {atoms.info.get('step', '?')}, by {differences}. Tighten labeling.engine in "
        "a new job, or keep MD from there: lower temperatures or perturb.strain"
    )
    return Caution(reason=CautionReason.LABELS_NOT_CONVERGED, message=message)


def _limits(noise: Sequence[FrameError], model: ErrorMetrics) -> dict[str, float]:
    """Return what sound labels stay below, or is less than the model errs; infinite where that is nothing."""
    errs = {"force": model.force_rmse, "energy": model.energy_rmse_per_atom, "virial": model.virial_rmse_per_atom}
    degrees = {"energy": len(noise) - independent_shifts(noise)}
    limits = {}
    for name, size in _sizes(noise).items():
        factor = max(_FACTOR, float(stdtrit(degrees.get(name, len(noise)), 0.5 + _CERTAINTY / 2)))
        limits[name] = max(factor * size, errs[name] or 0.0) or math.inf
    return limits


def _sizes(errors: Sequence[FrameError]) -> dict[str, float]:
    """Return the root mean square of what is known, by its name."""
    sizes = {
        "force": force_rmse(errors),
        "energy": energy_rmse_per_atom(errors),
        "virial": virial_rmse_per_atom(errors),
    }
    return {name: size for name, size in sizes.items() if size is not None}


def _place(atoms: Atoms) -> tuple[str, bytes]:
    # frames that the user gave are of none
    return str(atoms.info.get("trajectory")), atoms.positions.tobytes()
