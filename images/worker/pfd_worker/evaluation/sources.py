"""Where labels come from: the files of the user, and the labeler. They must place the zero of energy alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from pfd_operator.contract.result import Caution, CautionReason, Reason
from pfd_operator.contract.text import first_of
from pfd_worker.errors import StageError, user_error
from pfd_worker.evaluation.errors import FrameError
from pfd_worker.evaluation.shift import apply_energy_shift, determined, fit_energy_shift
from pfd_worker.frames import GIVEN, SOURCE, energy_of, is_extreme
from pfd_worker.machine_faults import says_machine_fault
from pfd_worker.models.base import AtomisticModel, Prediction
from pfd_worker.models.one_by_one import predictions_or_errors
from pfd_worker.out_of_memory import is_out_of_memory

COMPUTED = "the computed labels"
LARGEST_OFFSET_EV = 1.0
"""Per atom. Codes and pseudopotentials differ by tens or hundreds; a model that is not fine-tuned yet errs by less,
between a molecule and a crystal, too."""


def by_source(frames: Sequence[Atoms]) -> dict[str, list[int]]:
    """Return the rows of each file of the user, and of all labels that were computed.

    Each has units of its own: together with right ones, a few wrong ones follow no model, and so say nothing.
    """
    sources: dict[str, list[int]] = {}
    for row, atoms in enumerate(frames):
        sources.setdefault(source_of(atoms), []).append(row)
    return sources


def source_of(atoms: Atoms) -> str:
    """Return the file that a labelled frame is of; `COMPUTED` if of none."""
    return str(atoms.info["trajectory"] if atoms.info["stratum"] == GIVEN else atoms.info.get(SOURCE, COMPUTED))


def predictions_of_given(model: AtomisticModel, frames: Sequence[Atoms]) -> list[Prediction]:
    """Return what a model makes of labelled frames that were given.

    Raises
    ------
    StageError
        DataInvalid, naming file and frame, if it cannot: no other attempt makes a calculator converge.
    """
    predictions = []
    answers = predictions_or_errors(model, frames, model.predict, _raise_what_is_of_no_frame)
    for atoms, found in zip(frames, answers, strict=True):
        if isinstance(found, Exception):
            _raise_what_is_of_no_frame(found)
            raise _beyond_the_model(atoms, f"{type(found).__name__}: {str(found)[:300]}") from found
        if not found.is_finite:
            raise _beyond_the_model(atoms, "it gives values that are not numbers")
        predictions.append(found)
    return predictions


def _beyond_the_model(atoms: Atoms, why: str) -> StageError:
    frame = f"its frame of {atoms.get_chemical_formula()} with energy {energy_of(atoms):.6f} eV"
    return user_error(
        Reason.DATA_INVALID, f"{source_of(atoms)}: the model cannot predict {frame}: {why}. Leave the frame out."
    )


def _raise_what_is_of_no_frame(error: Exception) -> None:
    if isinstance(error, StageError) or is_out_of_memory(error) or says_machine_fault(str(error)):
        raise error


def check_zeros(frames: Sequence[Atoms], errors: Sequence[FrameError]) -> None:
    """Compare the energies of each source with those of the computed labels, or else of the largest file.

    A model shifted to the ones must not miss the others by a constant: with the zeros of two references in one
    training, neither is learned. Only compositions are compared whose zero the ones determine. What the model makes of
    extreme frames tells of no zero.

    Parameters
    ----------
    frames
        Labelled.
    errors
        Of the model that is given, for the same frames.

    Raises
    ------
    StageError
        DataInvalid, naming the file and its offset.
    """
    sources = {
        source: usual
        for source, rows in by_source(frames).items()
        if (usual := [row for row in rows if not is_extreme(frames[row])])
    }
    if len(sources) < 2:
        return
    chosen = COMPUTED if COMPUTED in sources else max(sources, key=lambda name: len(sources[name]))
    reference = [errors[row] for row in sources.pop(chosen)]
    shifts = fit_energy_shift(reference)
    for source, rows in sources.items():
        mine = [errors[row] for row in rows]
        known = determined([error.symbols for error in reference], [error.symbols for error in mine])
        shifted = apply_energy_shift([error for error, each in zip(mine, known, strict=True) if each], shifts)
        offsets = [-error.energy_ev / error.n_atoms for error in shifted if error.energy_ev is not None]
        if offsets and abs(np.mean(offsets)) > LARGEST_OFFSET_EV:
            raise _refusal(source, chosen, float(np.mean(offsets)))


def _refusal(source: str, reference: str, offset_ev: float) -> Exception:
    where = "above" if offset_ev > 0 else "below"
    return user_error(
        Reason.DATA_INVALID,
        f"{source}: its energies lie {abs(offset_ev):.1f} eV per atom {where} those of {reference}, which the "
        "difference of the structures does not explain: they are of another code, pseudopotential or functional, or "
        "without the energies of the atoms. No model can have both. Give energies of the same reference, or "
        "leave the file out.",
    )


def zero_open(labels: Sequence[Atoms], holdout: Sequence[Atoms]) -> Caution | None:
    """Name systems of the hold-out with compositions whose zero of energy the labels leave open; None if none is.

    Parameters
    ----------
    labels
        That the energy of elements is shifted to.
    holdout
        With their system in `info`.
    """
    known, asked = ([atoms.get_chemical_symbols() for atoms in frames] for frames in (labels, holdout))
    places = [
        f"{atoms.info['system']} ({atoms.get_chemical_formula(empirical=True)})"
        for atoms, follows in zip(holdout, determined(known, asked), strict=True)
        if not follows
    ]
    if not places:
        return None
    message = (
        f"no label to train on tells the zero of energy in {first_of(list(dict.fromkeys(places)), 3)}: energies there "
        "are off by an unknown constant until there are such labels. Give spec.aimd.trajectories as many as there are "
        "compositions"
    )
    return Caution(reason=CautionReason.ZERO_OPEN, message=message)
