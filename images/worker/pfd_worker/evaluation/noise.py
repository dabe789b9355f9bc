"""The noise of labels: how far they are from those that tighter settings of the same engine give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ase import Atoms

from pfd_operator.contract.selection import NOISE
from pfd_worker.evaluation.errors import FrameError, frame_errors
from pfd_worker.evaluation.shift import apply_energy_shift, fit_energy_shift, independent_shifts
from pfd_worker.models.base import Prediction


def label_noise(labels: Sequence[Atoms], holdout: Sequence[Atoms]) -> list[FrameError]:
    """Return the errors of hold-out labels against tighter ones of the same frames; empty if there are none.

    A constant shift of the energy of each element is left out: settings move the zero of energy, and models follow it.
    The shifts are fitted to the same few frames, which makes what remains smaller than the noise: by (n − k)/n in the
    mean square, for n frames and k shifts. Energies are scaled up accordingly; with no more frames than shifts nothing
    remains, and they are not known.

    Parameters
    ----------
    labels
        All labels of a stage, those of purpose NOISE among them.
    holdout
        The frozen hold-out.
    """
    tight = {_place(atoms): atoms for atoms in labels if atoms.info["purpose"] == NOISE}
    pairs = [(tight[_place(atoms)], atoms) for atoms in holdout if _place(atoms) in tight]
    loose = [Prediction.of_label(atoms) for _, atoms in pairs]
    errors = frame_errors([atoms for atoms, _ in pairs], loose)
    frames, shifts = len(errors), independent_shifts(errors)
    if frames <= shifts:
        return [replace(error, energy_ev=None) for error in errors]
    scale = math.sqrt(frames / (frames - shifts))
    return [_scaled(error, scale) for error in apply_energy_shift(errors, fit_energy_shift(errors))]


def _scaled(error: FrameError, scale: float) -> FrameError:
    return replace(error, energy_ev=None if error.energy_ev is None else scale * error.energy_ev)


def _place(atoms: Atoms) -> tuple[str, bytes]:
    return str(atoms.info["trajectory"]), atoms.positions.tobytes()
