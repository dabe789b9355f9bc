"""Predictions of many frames of which one may be beyond the model: it must not take the others along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ase import Atoms

from pfd_worker.models.base import AtomisticModel, Prediction


def predictions_or_errors(
    model: AtomisticModel,
    frames: Sequence[Atoms],
    predict: Callable[[Sequence[Atoms]], list[Prediction]],
    on_failure: Callable[[Exception], None],
) -> list[Prediction | Exception]:
    """Return what a model says of each frame, or what it raised for it.

    Parameters
    ----------
    model
        Asked for one frame after another, where all at once failed or gains nothing.
    frames
        To predict.
    predict
        One of the model's ways to predict all at once.
    on_failure
        Told what all at once raised: models of third parties raise whatever they like.
    """
    if model.atoms_together:
        try:
            return [*predict(frames)]
        except Exception as error:
            on_failure(error)
    # outside the handler: the error holds what the batch has allocated
    return [_prediction_or_error(model, atoms) for atoms in frames]


def _prediction_or_error(model: AtomisticModel, atoms: Atoms) -> Prediction | Exception:
    try:
        return model.predict([atoms])[0]
    except Exception as error:
        return error
