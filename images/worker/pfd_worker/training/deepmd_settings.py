"""The deepmd-kit input of a training: ours, with the user's template laid over it, checked against its schema."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pfd_operator.contract.training import Training
from pfd_worker.training.deepmd_sets import DataFolder
from pfd_worker.training.loss import LOSS, huber_deltas
from pfd_worker.training.recipe import RECIPES, Purpose, frames_of_batch
from pfd_worker.training.template import invalid_template, merged, refuse_owned_keys

CHECKPOINTS_PER_TRAINING = 40
LONGEST_STEPS_BETWEEN_CHECKPOINTS = 2000
CHECKPOINT_PREFIX = "model.ckpt"
CURVE_FILE = "lcurve.out"

LINEAR: Mapping[str, Any] = {"type": "wsd", "decay_phase_ratio": 1.0, "decay_type": "linear"}
"""The learning rate falls by the same each step (Defazio et al., arXiv:2310.07831): after half of the steps it is half
of the first one, where an exponential one has fallen to the geometric mean of first and last (docs/models.md).
deepmd-kit has it as a `wsd` without a stable phase. Prefactors of the loss follow the learning rate."""

OWNED_KEYS: dict[tuple[str, ...], str] = {
    ("training", "training_data"): "spec.data and the labels decide it",
    ("training", "validation_data"): "set spec.training.validationFraction instead",
    ("training", "numb_steps"): "set spec.training.steps instead",
    ("training", "seed"): "set spec.seed instead",
    ("training", "save_ckpt"): "checkpoints are found by this name",
    ("training", "save_freq"): "set spec.training.checkpointSeconds instead",
    ("training", "max_ckpt_keep"): "the best checkpoint is kept anyway",
    ("training", "disp_file"): "progress is read from it",
    ("model", "type_map"): "the model that is trained decides it",
    ("model", "descriptor"): "the model that is trained decides it",
    ("model", "type"): "the model that is trained decides it",
}
"""Keys of the input that the template must not touch, and what to do instead."""


def base_input(
    training: Training, model_section: Mapping[str, Any], purpose: Purpose = Purpose.FINE_TUNING
) -> dict[str, Any]:
    """Return the input without data: what `prepare` checks and `train` completes.

    Parameters
    ----------
    training
        Steps, batch size, learning rates and the user's template.
    model_section
        In full, since a restart needs it as much as a start does: that of the checkpoint training starts from, or of
        `student_model_section`.
    purpose
        Decides the meaning of the batch size and the largest first learning rate, see `recipe`.

    Raises
    ------
    StageError
        TrainingTemplateInvalid, if the template sets a key of `OWNED_KEYS`.
    """
    recipe = RECIPES[purpose]
    first_rate = min(training.learning_rate_start, recipe.highest_learning_rate)
    save_freq = min(max(1, training.steps // CHECKPOINTS_PER_TRAINING), LONGEST_STEPS_BETWEEN_CHECKPOINTS)
    model = {key: copy.deepcopy(value) for key, value in model_section.items() if key != "info"}
    ours: dict[str, Any] = {
        "model": model,
        "learning_rate": {
            **_schedule(training.template),
            "start_lr": first_rate,
            "stop_lr": min(training.learning_rate_stop, first_rate),
        },
        # prefactors mean something together only: a loss in the template is all of it
        "loss": {} if "loss" in training.template else dict(LOSS),
        "training": {
            "numb_steps": training.steps,
            "training_data": {"systems": ["data"], "batch_size": recipe.batch_size(training.batch_size)},
            "disp_file": CURVE_FILE,
            "disp_freq": max(1, min(100, training.steps // 50)),
            "save_ckpt": CHECKPOINT_PREFIX,
            "save_freq": save_freq,
            "max_ckpt_keep": CHECKPOINTS_PER_TRAINING,
        },
    }
    refuse_owned_keys(training.template, OWNED_KEYS)
    return merged(ours, training.template)


def _schedule(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return our schedule of the learning rate, none of it if the template names another: their keys do not mix."""
    given = template.get("learning_rate")
    return {} if isinstance(given, Mapping) and "type" in given else LINEAR


def check_input(settings: Mapping[str, Any]) -> None:
    """Check an input against deepmd-kit's schema; takes 0.2 s and no torch.

    Raises
    ------
    StageError
        TrainingTemplateInvalid, naming the key.
    """
    from dargs.dargs import ArgumentError  # type: ignore[import-not-found]
    from deepmd.utils.argcheck import normalize
    from deepmd.utils.compat import update_deepmd_input

    try:
        normalize(update_deepmd_input(copy.deepcopy(dict(settings)), warning=False))
    except ArgumentError as error:
        where = getattr(error, "path", None)
        raise invalid_template(f"deepmd-kit refuses {where or 'the input'}: {error}") from error
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise invalid_template(f"deepmd-kit refuses the input: {error}") from error


def complete_input(
    base: Mapping[str, Any], folders: Sequence[DataFolder], force_rms: float, seed: int
) -> dict[str, Any]:
    """Return the input with its data and seeds.

    Parameters
    ----------
    base
        Of `base_input`.
    folders
        Of `write_deepmd_sets`. All their frames count for the energy shift: the default of 10 batches gave offsets
        10-20 meV per atom off for few, diverse frames.
    force_rms
        RMS of their force components, in eV/Å: the scale of a Huber loss whose deltas the template does not give.
    seed
        Of batches and of new parameters.
    """
    settings = copy.deepcopy(dict(base))
    settings["model"]["data_stat_nbatch"] = sum(folder.frames for folder in folders)
    data = settings["training"]["training_data"]
    # of itself it counts whole batches: one frame in a folder of its own would count as many as a full batch of others
    batches = [folder.frames / frames_of_batch(data["batch_size"], folder.atoms) for folder in folders]
    data["systems"] = [str(folder.path) for folder in folders]
    data["sys_probs"] = [number / sum(batches) for number in batches]
    if settings["loss"].get("use_huber"):
        settings["loss"].setdefault("huber_delta", huber_deltas(force_rms))
    settings["training"]["seed"] = seed
    return settings
