"""The model section of a student: presets, and what deepmd-kit is able to compress."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from pfd_operator.contract.result import Reason
from pfd_operator.contract.student import Preset, Student
from pfd_worker.errors import user_error

NEIGHBOURS = "auto:1.5"
"""Room for half as many neighbours again as the training frames have: later rounds and MD meet denser places, and
neighbours beyond `sel` are dropped without a word. A compressed model skips what is not filled."""

_SE_A = {
    "type": "se_e2_a",
    "sel": NEIGHBOURS,
    "rcut_smth": 0.5,
    "resnet_dt": False,
    # embedding nets by neighbour only: N of them for N elements instead of N²
    "type_one_side": True,
}

# widths and not depths decide the speed of a compressed model
_SECTIONS: dict[Preset, dict[str, Any]] = {
    Preset.SMALL: {
        "descriptor": {**_SE_A, "rcut": 5.0, "neuron": [16, 16, 16], "axis_neuron": 4},
        "fitting_net": {"neuron": [32, 32, 32], "resnet_dt": True},
    },
    Preset.MEDIUM: {
        "descriptor": {**_SE_A, "rcut": 6.0, "neuron": [16, 32, 32], "axis_neuron": 8},
        "fitting_net": {"neuron": [64, 64, 64], "resnet_dt": True},
    },
    Preset.LARGE: {
        "descriptor": {
            "type": "dpa1",
            "sel": NEIGHBOURS,
            "rcut": 6.0,
            "rcut_smth": 0.5,
            "neuron": [16, 32, 64],
            "axis_neuron": 8,
            "attn_layer": 0,
            "tebd_dim": 8,
            # only a type embedding with a net of its own can be tabulated; smooth, else a neighbour that crosses the
            # cutoff makes a step in the energy
            "tebd_input_mode": "strip",
            "smooth_type_embedding": True,
            "type_one_side": True,
            "resnet_dt": False,
        },
        "fitting_net": {"neuron": [120, 120, 120], "resnet_dt": True},
    },
}

_TABULATED = {
    "se_e2_a": "se_e2_a",
    "se_a": "se_e2_a",
    "se_e2_r": "se_e2_r",
    "se_r": "se_e2_r",
    "se_e3": "se_e3",
    "se_at": "se_e3",
    "se_a_3be": "se_e3",
    "se_t": "se_e3",
    "dpa1": "dpa1",
    "se_atten": "dpa1",
    "se_atten_v2": "se_atten_v2",
}
"""Descriptor types (with deepmd-kit's aliases) whose embedding nets `dp --pt compress` tabulates whole."""

_ACTIVATIONS = {"tanh", "gelu", "gelu_tf", "relu", "relu6", "softplus", "sigmoid", "silu"}


def student_model_section(student: Student, type_map: Sequence[str]) -> dict[str, Any]:
    """Return the full model section of a student.

    Parameters
    ----------
    student
        Preset, or a model section without type_map.
    type_map
        Elements of the systems the student is made for.

    Returns
    -------
    dict
        For `training.deepmd_settings.base_input`.

    Raises
    ------
    StageError
        StudentNotCompressible, if compression is asked for and cannot be had.
    """
    if student.preset is not None:
        section = copy.deepcopy(_SECTIONS[student.preset])
        if student.cutoff is not None:
            section["descriptor"]["rcut"] = student.cutoff
    else:
        section = copy.deepcopy(dict(student.model or {}))
    if student.compress:
        obstacle = compression_obstacle(section)
        if obstacle is not None:
            raise user_error(
                Reason.STUDENT_NOT_COMPRESSIBLE,
                f"spec.student.model cannot be compressed: {obstacle}. Change this, choose a preset, or set "
                "spec.student.compress to false.",
            )
    return {"type_map": list(type_map), **section}


def compression_obstacle(section: Mapping[str, Any]) -> str | None:
    """Say why deepmd-kit cannot compress a model, from its section alone; None if it can."""
    kind = section.get("type", "standard")
    if kind != "standard":
        return f"type is {kind}, and only standard models are tabulated"
    for key in ("spin", "use_srtab"):
        if key in section:
            return f"{key} is set"
    return _descriptor_obstacle(section["descriptor"], "descriptor")


def _descriptor_obstacle(descriptor: Mapping[str, Any], where: str) -> str | None:
    given = str(descriptor.get("type", "se_e2_a"))
    if given == "hybrid":
        parts = enumerate(descriptor.get("list", []))
        return next(filter(None, (_descriptor_obstacle(part, f"{where}.list[{n}]") for n, part in parts)), None)
    kind = _TABULATED.get(given)
    if kind is None:
        known = "se_e2_a, se_e2_r, se_e3, dpa1 without attention, and hybrids of them"
        return f"{where}.type is {given}, and what can be tabulated whole is {known}"
    if descriptor.get("resnet_dt", False):
        return f"{where}.resnet_dt must be false"
    activation = str(descriptor.get("activation_function", "tanh")).lower()
    if activation not in _ACTIVATIONS:
        return f"{where}.activation_function is {activation}, and must be one of {', '.join(sorted(_ACTIVATIONS))}"
    return None if kind.startswith("se_e") else _attention_obstacle(kind, descriptor, where)


def _attention_obstacle(kind: str, descriptor: Mapping[str, Any], where: str) -> str | None:
    if descriptor.get("attn_layer", 2) != 0:
        return f"{where}.attn_layer must be 0, because attention cannot be tabulated (deepmd-kit's default is 2)"
    stripped = descriptor.get("tebd_input_mode") == "strip" or bool(descriptor.get("stripped_type_embedding"))
    if kind == "dpa1" and not stripped:
        return f"{where}.tebd_input_mode must be strip (deepmd-kit's default is concat)"
    return None
