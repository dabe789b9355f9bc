"""Errors of predictions, frame by frame, and what they add up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_operator.contract.outcome import FEWEST_TRAJECTORIES_OF_INTERVAL, ErrorMetrics, StratumError, WorstStrata
from pfd_operator.contract.result import Reason
from pfd_worker.errors import user_error
from pfd_worker.evaluation.jackknife import Floats, grouped, rmse_interval
from pfd_worker.frames import OF_TRAJECTORY, energy_of, virial_of
from pfd_worker.models.base import Prediction

FEWEST_FRAMES_OF_STRATUM = 4
"""In a sample that was not drawn to judge strata by. Where frames' mean squares scatter by their own mean, an RMSE
over n of them has a relative standard error of 1/(2√n): with fewer than four, one odd frame decides."""


_Key = TypeVar("_Key", str, float)


@dataclass(frozen=True)
class FrameError:
    """Errors of one frame: prediction minus label."""

    stratum: str
    symbols: tuple[str, ...]
    energy_ev: float | None
    """Of the whole frame; None if it is not known."""
    forces: NDArray[np.float64]
    """(n_atoms, 3), in eV/Å."""
    virial: NDArray[np.float64] | None
    """(3, 3), in eV."""
    trajectory: str = ""
    """Frames of one are alike, and are left out together."""
    label_forces: NDArray[np.float64] | None = None
    """(n_atoms, 3), in eV/Å; None if they are not known."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.symbols)


def frame_errors(frames: Sequence[Atoms], predictions: Sequence[Prediction]) -> list[FrameError]:
    """Compare predictions with the labels the frames carry.

    Raises
    ------
    StageError
        NotANumber, if an error is not finite: a model or label that is NaN must not become a number.
    """
    errors = []
    for number, (atoms, predicted) in enumerate(zip(frames, predictions, strict=True)):
        reference = virial_of(atoms)
        energy, forces = predicted.energy - energy_of(atoms), atoms.get_forces()
        error = FrameError(
            stratum=str(atoms.info.get("stratum", "all")),
            symbols=tuple(atoms.get_chemical_symbols()),
            energy_ev=energy,
            forces=predicted.forces - forces,
            virial=None if reference is None else predicted.virial - reference,
            trajectory=str(atoms.info.get(OF_TRAJECTORY, atoms.info.get("trajectory", number))),
            label_forces=forces,
        )
        finite = np.isfinite(energy) and np.isfinite(error.forces).all()
        if not finite or (error.virial is not None and not np.isfinite(error.virial).all()):
            raise user_error(
                Reason.NOT_A_NUMBER,
                f"frame {number} ({atoms.get_chemical_formula()}, {error.stratum}): model or label gives a value that "
                "is not a number. The training may have diverged: lower spec.training.learningRateStart.",
            )
        errors.append(error)
    return errors


def force_rmse(errors: Sequence[FrameError], element: str | None = None) -> float:
    """Return the RMSE over force components in eV/Å, of one element's atoms if it is named; NaN if there are none."""
    parts = [e.forces if element is None else e.forces[np.array([s == element for s in e.symbols])] for e in errors]
    values = np.concatenate([part.ravel() for part in parts])
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def energy_rmse_per_atom(errors: Sequence[FrameError]) -> float | None:
    """Return the RMSE of the energy per atom in eV, None if no frame's is known."""
    parts = [e.energy_ev / e.n_atoms for e in errors if e.energy_ev is not None]
    return float(np.sqrt(np.mean(np.square(parts)))) if parts else None


def virial_rmse_per_atom(errors: Sequence[FrameError]) -> float | None:
    """Return the RMSE over the nine virial components per atom in eV, None if no frame has a virial."""
    parts = [(e.virial / e.n_atoms).ravel() for e in errors if e.virial is not None]
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) if parts else None


def by_stratum(errors: Sequence[FrameError]) -> dict[str, list[FrameError]]:
    """Group errors by (system, temperature, pressure)."""
    return by(errors, str)


def by(errors: Sequence[FrameError], part: Callable[[str], _Key | None]) -> dict[_Key, list[FrameError]]:
    """Group errors by a part of the name of their stratum; those that have no such part are left out.

    Parameters
    ----------
    part
        Of `contract.strata`: name of a stratum → its system, temperature or pressure.
    """
    groups: dict[_Key, list[FrameError]] = {}
    for error in errors:
        found = part(error.stratum)
        if found is not None:
            groups.setdefault(found, []).append(error)
    return {found: groups[found] for found in sorted(groups)}


def worst_strata(errors: Sequence[FrameError], fewest_frames: int = 1) -> WorstStrata:
    """Find the strata with the largest RMSEs, of those that have this many frames at least."""
    groups = {name: members for name, members in by_stratum(errors).items() if len(members) >= fewest_frames}
    return WorstStrata(
        force=_worst(groups, force_rmse),
        energy=_worst(groups, energy_rmse_per_atom),
        virial=_worst(groups, virial_rmse_per_atom),
    )


def _worst(
    groups: Mapping[str, Sequence[FrameError]], rmse: Callable[[Sequence[FrameError]], float | None]
) -> StratumError | None:
    values = {name: value for name, members in groups.items() if (value := rmse(members)) is not None}
    worst = max(values, key=lambda name: values[name], default=None)
    return None if worst is None else StratumError(stratum=worst, rmse=values[worst])


_Part = tuple[str, NDArray[np.float64]]
"""Trajectory of a frame, and the errors it has of one quantity."""


def squares_of_trajectories(errors: Sequence[FrameError]) -> dict[str, Floats]:
    """Return sums of squared errors of each trajectory, (n,), by quantity: force, energy and virial.

    Those of two models on the same frames can be compared. They are zero where nothing is known.
    """
    nothing = [(e.trajectory, np.zeros(())) for e in errors]
    return {quantity: _sums([*nothing, *parts]) for quantity, parts in _parts(errors).items()}


def _parts(errors: Sequence[FrameError]) -> dict[str, list[_Part]]:
    return {
        "force": [(e.trajectory, e.forces) for e in errors],
        "energy": [(e.trajectory, np.array(e.energy_ev / e.n_atoms)) for e in errors if e.energy_ev is not None],
        "virial": [(e.trajectory, e.virial / e.n_atoms) for e in errors if e.virial is not None],
    }


def _sums(parts: Sequence[_Part]) -> Floats:
    return grouped([name for name, _ in parts], [float(np.sum(part**2)) for _, part in parts])


def _interval(parts: Sequence[_Part]) -> tuple[float, float] | tuple[None, None]:
    names = [name for name, _ in parts]
    if len(set(names)) < FEWEST_TRAJECTORIES_OF_INTERVAL:
        return None, None
    return rmse_interval(_sums(parts), grouped(names, [part.size for _, part in parts])) or (None, None)


def summarise(errors: Sequence[FrameError]) -> ErrorMetrics:
    """Add up errors to the metrics an outcome carries.

    Parameters
    ----------
    errors
        At least one frame.

    Raises
    ------
    StageError
        NotANumber, if there is no frame: an empty set has no error.
    """
    if not errors:
        raise user_error(Reason.NOT_A_NUMBER, "there is no labelled frame to evaluate on: no error can be told")
    worst = worst_strata(errors).force
    (low, high), (_, energy_high), (_, virial_high) = (_interval(parts) for parts in _parts(errors).values())
    return ErrorMetrics(
        frames=len(errors),
        trajectories=len({e.trajectory for e in errors}),
        label_force_rms=_label_force_rms(errors),
        force_rmse=force_rmse(errors),
        force_rmse_low=low,
        force_rmse_high=high,
        energy_rmse_per_atom=energy_rmse_per_atom(errors),
        energy_rmse_per_atom_high=energy_high,
        virial_rmse_per_atom=virial_rmse_per_atom(errors),
        virial_rmse_per_atom_high=virial_high,
        worst_stratum=None if worst is None else worst.stratum,
        worst_stratum_force_rmse=None if worst is None else worst.rmse,
    )


def _label_force_rms(errors: Sequence[FrameError]) -> float | None:
    labels = [e.label_forces.ravel() for e in errors if e.label_forces is not None]
    return float(np.sqrt(np.mean(np.concatenate(labels) ** 2))) if labels else None
