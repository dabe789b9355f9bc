"""The input of `sevenn train`: ours, with the user's template laid over it, every key one that sevenn knows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pfd_operator.contract.result import Reason
from pfd_operator.contract.training import Training
from pfd_worker.errors import user_error
from pfd_worker.training.template import invalid_template, merged, refuse_owned_keys

OWNED_KEYS = {
    ("train", "epoch"): "set spec.training.steps instead",
    ("train", "random_seed"): "set spec.seed instead",
    ("train", "per_epoch"): "set spec.training.checkpointSeconds instead",
    ("train", "continue"): "spec.model decides it",
    ("train", "error_record"): "progress is read from it",
    ("train", "scheduler"): "set spec.training.learningRateStart and learningRateStop instead",
    ("train", "scheduler_param"): "set spec.training.learningRateStart and learningRateStop instead",
    ("train", "optim_param", "lr"): "set spec.training.learningRateStart instead",
    ("data", "batch_size"): "set spec.training.batchSize instead",
    ("data", "load_trainset_path"): "spec.data and the labels decide it",
    ("data", "load_validset_path"): "set spec.training.validationFraction instead",
    ("steps",): "set spec.training.steps instead",
    ("learning_rate_ratio",): "set spec.training.learningRateStop instead",
}
"""Keys of the input that the template must not touch, and what to do instead."""
MODEL_KEYS_OF_USERS = {"train_shift_scale", "train_denominator"}
"""What of the model section can change without making it another model."""
CHECKPOINTS_PER_TRAINING = 20


def base_input(training: Training, model_section: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input without data: what `prepare` checks and `train` completes.

    Loss and weights are those of sevenn's preset fine_tune.yaml, which are 7net-0's own.

    Raises
    ------
    StageError
        TrainingTemplateInvalid, if the template sets a key of `OWNED_KEYS` or makes the model another one, or several
        nodes are asked for.
    """
    if training.nodes > 1:
        message = f"spec.training.nodes: {training.nodes} nodes cannot train a SevenNet model together; leave it at 1."
        raise user_error(Reason.TRAINING_TEMPLATE_INVALID, message)
    refuse_owned_keys(training.template, OWNED_KEYS)
    for key in training.template.get("model", {}):
        if key not in MODEL_KEYS_OF_USERS:
            raise invalid_template(f"model.{key} cannot be set: the model that is trained decides it.")
    ours = {
        "steps": training.steps,
        "learning_rate_ratio": min(1.0, training.learning_rate_stop / training.learning_rate_start),
        "model": {"chemical_species": "auto"} | {k: v for k, v in model_section.items() if k != "type_map"},
        "train": {
            "is_train_stress": True,
            "loss": "Huber",
            "loss_param": {"delta": 0.01},
            "force_loss_weight": 1.0,
            "stress_loss_weight": 0.01,
            "optimizer": "adam",
            "optim_param": {"lr": training.learning_rate_start},
            "scheduler": "exponentiallr",
            "error_record": [["Energy", "RMSE"], ["Force", "ComponentRMSE"], ["TotalLoss", "None"]],
        },
        "data": {"batch_size": training.batch_size, "data_format_args": {"force_reload": True}},
    }
    return merged(ours, training.template)


def check_input(settings: Mapping[str, Any]) -> None:
    """Check an input by sevenn's own parser; keys that it would ignore are errors.

    Raises
    ------
    StageError
        TrainingTemplateInvalid, naming the key.
    """
    from sevenn import _const, parse_input

    sections = {
        "model": (parse_input.init_model_config, _const.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG, {"chemical_species"}),
        "train": (parse_input.init_train_config, _const.DEFAULT_TRAINING_CONFIG, {"device"}),
        "data": (parse_input.init_data_config, _const.DEFAULT_DATA_CONFIG, set()),
    }
    for name, content in settings.items():
        if name in ("steps", "learning_rate_ratio"):
            continue
        if name not in sections:
            raise invalid_template(f"sevenn knows no section {name}: it knows {', '.join(sections)}.")
        parse, known, more = sections[name]
        unknown = sorted(set(content) - set(known) - more)
        if unknown:
            raise invalid_template(f"sevenn knows no key {name}.{unknown[0]}.")
        try:
            parse(copy.deepcopy(dict(content)))
        except (ValueError, TypeError, KeyError) as error:
            raise invalid_template(f"sevenn refuses the section {name}: {error}") from error


def complete_input(
    base: Mapping[str, Any], epochs: int, checkpoint_epochs: int, seed: int, checkpoint: Path, resumed: bool
) -> dict[str, Any]:
    """Return the input with its length, data, seed and start.

    Parameters
    ----------
    base
        Of `base_input`.
    epochs
        How often all frames are gone through.
    checkpoint_epochs
        How many of them lie between checkpoints.
    seed
        Of the order of frames.
    checkpoint
        Where training starts.
    resumed
        Go on with the checkpoint's optimizer, learning rate and epoch.
    """
    settings = copy.deepcopy({name: base[name] for name in ("model", "train", "data")})
    settings["data"]["load_trainset_path"] = ["train.extxyz"]
    settings["train"] |= {
        "epoch": epochs,
        "per_epoch": checkpoint_epochs,
        "random_seed": seed,
        "scheduler_param": {"gamma": base["learning_rate_ratio"] ** (1 / epochs)},
        "continue": {
            "checkpoint": str(checkpoint),
            "reset_optimizer": not resumed,
            "reset_scheduler": not resumed,
            "reset_epoch": not resumed,
        },
    }
    return settings
