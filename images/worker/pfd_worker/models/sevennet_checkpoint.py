"""SevenNet checkpoints (.pth): what is in them, an energy shifted, and a form of them that runs no code when loaded.

Park et al., J. Chem. Theory Comput. 20, 4857 (2024). sevenn itself unpickles whatever a checkpoint holds, so a file
goes through `extract_model` before sevenn sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, user_error
from pfd_worker.models.checkpoint import MODEL_FIELD, CheckpointInfo

_SHIFT, _SCALE = "rescale_atomic_energy.shift", "rescale_atomic_energy.scale"
_NUMPY_NAMES = ("numpy.core.multiarray", "numpy._core.multiarray")
_MODEL_KEYS_OF_OURS = ("_normalize_sph",)
"""Left out by sevenn's own `yaml_dict`, though a model with another value is another model."""


def load_checkpoint(path: Path, where: str = MODEL_FIELD) -> dict[str, Any]:
    """Load a checkpoint without running any code it may contain.

    Raises
    ------
    StageError
        NotACheckpoint, if the file is anything but a SevenNet checkpoint.
    """
    import torch

    # older checkpoints hold numpy arrays among their settings
    reconstruct = np.empty(0).__reduce__()[0]
    allowed: list[Any] = [np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in ("f4", "f8", "i8")}]
    allowed += [(reconstruct, f"{module}._reconstruct") for module in _NUMPY_NAMES]
    try:
        with torch.serialization.safe_globals(allowed):
            content = torch.load(path, map_location="cpu", weights_only=True)
        content["config"]["_type_map"], content["model_state_dict"][_SHIFT]
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the unpickler raises whatever foreign bytes lead it to
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _not_usable(
            f"{path.name} is not a SevenNet checkpoint ({message[:200]}). Give the .pth file that `sevenn train` "
            "wrote; a checkpoint of deepmd-kit must end in .pt (of a distilled student: model.pt in the same folder).",
            where,
        ) from error
    return dict(content)


def extract_model(path: Path, branch: str | None, output: Path, where: str = MODEL_FIELD) -> CheckpointInfo:
    """Write the model of a checkpoint alone, out of tensors and plain values; return what it is.

    Raises
    ------
    StageError
        NotACheckpoint, if it is none or one of several modalities; UnknownBranch, if a branch is asked for.
    """
    from sevenn.checkpoint import SevenNetCheckpoint

    content = load_checkpoint(path, where)
    if content["config"].get("use_modality"):
        raise _not_usable(
            f"{path.name} has several modalities, which cannot be fine-tuned here. Take 7net-0 or 7net-l3i5; to teach, "
            "a modality can be chosen by spec.teacher.calculator.parameters.modal.",
            where,
        )
    if branch is not None:
        raise user_error(
            Reason.UNKNOWN_BRANCH,
            f"{where}.branch: a SevenNet checkpoint has no branch {branch!r}. Leave branch out.",
        )
    _write(content, output)
    # safe now: what it unpickles was written here
    section = SevenNetCheckpoint(output).yaml_dict("continue")["model"]
    section |= {key: content["config"][key] for key in _MODEL_KEYS_OF_OURS if key in content["config"]}
    numbers: Mapping[int, int] = content["config"]["_type_map"]
    return CheckpointInfo([], {**_plain(section), "type_map": _elements(numbers)})


def shift_energy(path: Path, shifts_ev: Mapping[str, float], output: Path) -> None:
    """Write a copy of an extracted model whose energy is shifted by so much for each atom of an element.

    Parameters
    ----------
    path
        Of `extract_model`.
    shifts_ev
        Element → shift, in eV; elements that are not named stay.
    output
        Where the copy goes.
    """
    content = load_checkpoint(path)
    elements = _elements(content["config"]["_type_map"])
    state = dict(content["model_state_dict"])
    # a model may have one shift for all elements
    shift = state[_SHIFT].expand(len(elements)).clone()
    for element, value in shifts_ev.items():
        shift[elements.index(element)] += value
    scale = state[_SCALE].expand(len(elements)).clone()
    state |= {_SHIFT: shift, _SCALE: scale}
    config = content["config"] | {
        "shift": shift.tolist(),
        "scale": scale.tolist(),
        "use_species_wise_shift_scale": True,
    }
    _write({**content, "model_state_dict": state, "config": config}, output)


def strip_checkpoint(path: Path, output: Path) -> None:
    """Write the model of a training checkpoint alone: optimizer state is two thirds of the file."""
    _write(load_checkpoint(path), output)


def _write(content: Mapping[str, Any], output: Path) -> None:
    import torch

    config = {key: _plain(value) for key, value in content["config"].items() if not key.endswith("_path")}
    torch.save(
        {"config": config, "model_state_dict": content["model_state_dict"], "epoch": content.get("epoch")}, output
    )


def _plain(value: Any) -> Any:
    """Return a value without numpy and torch types, which the unpickler would have to be told about."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _elements(type_map: Mapping[int, int]) -> list[str]:
    """Return the elements in the model's order, out of atomic number → index."""
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in sorted(type_map, key=lambda number: type_map[number])]


def _not_usable(why: str, where: str) -> StageError:
    return user_error(Reason.NOT_A_CHECKPOINT, f"{where}: {why}")
