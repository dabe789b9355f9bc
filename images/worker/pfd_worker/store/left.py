"""What a stage has left for later ones: in the form of today, also of a worker of an earlier version, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from pfd_operator.contract.result import Reason
from pfd_worker import stage_files
from pfd_worker.errors import StageError, user_error

_Value = TypeVar("_Value")

_ANEW = (
    "Set spec.restart of the job that it belongs to, with a new id and fromIteration of that stage (in status.stages; "
    "of prepare it is 0), and the stage is computed again. Labels that are still there are found, not paid for."
)


class Left(dict[str, _Value]):
    """What a stage has left, by name; who asks for what it has not ends in words for the user, and not as `KeyError`.

    Parameters
    ----------
    stage, digest
        Of the stage, for messages.
    found
        What it has left.
    """

    def __init__(self, stage: str, digest: str, found: Mapping[str, _Value]) -> None:
        super().__init__(found)
        self._whose = f"the {stage} stage {digest[:12]}"

    def __missing__(self, name: str) -> NoReturn:
        raise user_error(
            Reason.ARTIFACT_LOST,
            f"{self._whose} has left no {name}, which this version needs: a worker of another version ran it. {_ANEW}",
        )


def files_lost(stage: str, digest: str, what: str) -> StageError:
    """Return the end of a stage that needs files which an earlier one has made and somebody has deleted."""
    return user_error(
        Reason.ARTIFACT_LOST,
        f"{what} of the {stage} stage {digest[:12]} is no longer in the store: somebody has deleted it, or a rule by "
        f"age. {_ANEW}",
    )


def give_todays_form(stage: str, files: dict[str, Any], summary: dict[str, Any]) -> None:
    """Change what an earlier version has left into what this one reads, where something sound can stand for it."""
    if stage == "prepare" and stage_files.STARTS in files:
        # what was given was not kept, and students were judged in a start
        files.setdefault(stage_files.STRUCTURES, files[stage_files.STARTS])
    if stage == "explore":
        summary.setdefault("checkpoints", None)
        for trajectory in summary.get("trajectories", ()):
            # it told what it gave, not what was asked for
            trajectory.setdefault("asked", trajectory["frames"])
    if stage == "select":
        # all frames weigh alike
        summary.setdefault("asked_of_strata", {})
    if stage in ("explore", "train"):
        # the first form of features was not told
        summary.setdefault("feature_form", 1)
    if stage == "train":
        # what its report's MD was run with was not told: it is run again
        summary.setdefault("dynamics", None)
        # it is measured anew
        summary.setdefault("baseline", {})
        if "forceRmse" in summary.get("lowest", {}):
            # errors of the whole hold-out: those of its trajectories are not to be had from them
            summary["lowest"] = {}
