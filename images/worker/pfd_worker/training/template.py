"""The user's part of a training input: laid over ours, and kept off the keys that are ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, user_error


def refuse_owned_keys(template: Mapping[str, Any], owned: Mapping[tuple[str, ...], str]) -> None:
    """Refuse a template that sets a key of ours.

    Parameters
    ----------
    template
        The user's.
    owned
        Path of a key → what to do instead.

    Raises
    ------
    StageError
        TrainingTemplateInvalid.
    """
    for path, advice in owned.items():
        value: Any = template
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            raise invalid_template(f"{'.'.join(path)} cannot be set: {advice}.")


def invalid_template(message: str) -> StageError:
    """Return the error of a template."""
    return user_error(Reason.TRAINING_TEMPLATE_INVALID, f"spec.training.template: {message}")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one JSON object over another, key by key; lists and numbers replace each other whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
