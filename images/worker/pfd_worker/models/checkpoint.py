"""deepmd-kit checkpoints (.pt): what is in them, one branch cut out, an energy bias shifted. Needs torch only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pfd_operator.contract.result import Reason
from pfd_worker.errors import user_error

MODEL_FIELD = "spec.model"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself."""

    branches: list[str]
    """Names of its branches; empty for a single-task model."""
    model_section: dict[str, Any]
    """The `model` section of the deepmd-kit input it was made with, of the chosen branch."""

    @property
    def type_map(self) -> list[str]:
        """Elements the model has parameters for."""
        return list(self.model_section["type_map"])

    @property
    def observed_elements(self) -> list[str]:
        """Elements that occurred in its training data, as far as the checkpoint says."""
        return list(self.model_section.get("info", {}).get("observed_type", self.type_map))


def load_checkpoint(path: Path, where: str = MODEL_FIELD) -> dict[str, Any]:
    """Load a checkpoint without running any code it may contain.

    Raises
    ------
    StageError
        NotACheckpoint, if the file is anything but a deepmd-kit PyTorch checkpoint.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state = content.get("model", content)
        state["_extra_state"]["model_params"]
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the unpickler raises whatever foreign bytes lead it to
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise user_error(
            Reason.NOT_A_CHECKPOINT,
            f"{where}: {path.name} is not a deepmd-kit PyTorch checkpoint ({message[:200]}). "
            "Give the .pt file that `dp --pt train` wrote; frozen .pth and TensorFlow .pb models cannot be fine-tuned.",
        ) from error
    return dict(state)


def inspect_checkpoint(path: Path, branch: str | None = None, where: str = MODEL_FIELD) -> CheckpointInfo:
    """Return branches and model section of a checkpoint.

    Parameters
    ----------
    path
        The .pt file.
    branch
        Branch or one of its aliases; must be given if there are several.
    where
        Field of the spec that names the checkpoint, for messages.

    Raises
    ------
    StageError
        NotACheckpoint, BranchRequired or UnknownBranch.
    """
    params = load_checkpoint(path, where)["_extra_state"]["model_params"]
    branches = list(params.get("model_dict", {}))
    if not branches:
        if branch not in (None, "Default"):
            raise user_error(
                Reason.UNKNOWN_BRANCH,
                f"{where}.branch: the checkpoint has a single model and no branch {branch!r}. Leave branch out.",
            )
        return CheckpointInfo([], params)
    return CheckpointInfo(branches, params["model_dict"][_resolve_branch(params["model_dict"], branch, where)])


def _resolve_branch(model_dict: Mapping[str, Any], branch: str | None, where: str = MODEL_FIELD) -> str:
    names = ", ".join(model_dict)
    if branch is None:
        if len(model_dict) == 1:
            return next(iter(model_dict))
        raise user_error(
            Reason.BRANCH_REQUIRED,
            f"{where}.branch: the checkpoint has {len(model_dict)} branches and none is chosen; without one the "
            f"fitting net would start from random numbers. Set branch to one of: {names}.",
        )
    for name, section in model_dict.items():
        if branch == name or branch in (section.get("model_branch_alias") or []):
            return name
    raise user_error(
        Reason.UNKNOWN_BRANCH,
        f"{where}.branch: the checkpoint has no branch {branch!r}. Set branch to one of: {names}.",
    )


def extract_branch(path: Path, branch: str | None, output: Path, where: str = MODEL_FIELD) -> CheckpointInfo:
    """Write one branch as a single-task checkpoint, without optimizer state.

    A single-task checkpoint cannot be fine-tuned from the wrong branch, nor from none: deepmd-kit re-initialises the
    fitting net silently when a multi-task checkpoint comes without a branch.
    """
    import torch

    info = inspect_checkpoint(path, branch, where)
    state = load_checkpoint(path)
    extra = {**state["_extra_state"], "model_params": info.model_section}
    if info.branches:
        model_dict = state["_extra_state"]["model_params"]["model_dict"]
        prefix = f"model.{_resolve_branch(model_dict, branch)}."
        state = {
            f"model.Default.{key.removeprefix(prefix)}": value.clone()
            for key, value in state.items()
            if key.startswith(prefix)
        }
    torch.save({"model": {**state, "_extra_state": extra}}, output)
    return info


def shift_energy_bias(path: Path, shifts_ev: Mapping[str, float], output: Path) -> None:
    """Write a copy of a single-task checkpoint whose energy is shifted by so much for each atom of an element.

    Parameters
    ----------
    path
        Single-task checkpoint.
    shifts_ev
        Element → shift, in eV; elements that are not named stay.
    output
        Where the copy goes.
    """
    import torch

    state = load_checkpoint(path)
    type_map = state["_extra_state"]["model_params"]["type_map"]
    key = "model.Default.atomic_model.out_bias"
    bias = state[key].clone()
    for element, shift in shifts_ev.items():
        bias[0, type_map.index(element), 0] += shift
    torch.save({"model": {**state, key: bias}}, output)


def strip_checkpoint(path: Path, output: Path) -> None:
    """Write the model of a training checkpoint alone: optimizer state is two thirds of the file."""
    import torch

    state = load_checkpoint(path)
    # they are part of its bias by now; `dp --finetune` would add them once more
    state["_extra_state"]["model_params"].pop("preset_out_bias", None)
    torch.save({"model": state}, output)
