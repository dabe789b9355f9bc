"""A hold-out of the user's own: which system, stratum and trajectory each of its frames is of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ase import Atoms

from pfd_operator.contract.result import Caution
from pfd_operator.contract.selection import HOLD_OUT
from pfd_operator.contract.stage import PrepareParams
from pfd_operator.contract.strata import conditions_of
from pfd_operator.contract.systems import HoldOutData
from pfd_operator.contract.text import first_of
from pfd_worker.errors import data_invalid
from pfd_worker.frames import GIVEN, SOURCE
from pfd_worker.preparation.data import MOST_MEASURED_ON, Given, is_of_a_job, labelled_frames, said_trajectory
from pfd_worker.stage_context import StageContext

FEWEST_FRAMES = 4
"""As of a hold-out that is computed."""
TRAJECTORIES_OF_A_FILE = 8
"""If it does not say which frames are of which. Each is of successive frames, so that an interval over them is right if
those are alike, as of MD, and if no two are; over so many it is about as good as one over independent frames."""


def given_holdout(
    context: StageContext, params: PrepareParams, digests: dict[str, str], with_masses: set[str]
) -> tuple[list[Atoms], Caution | None]:
    """Return the frames that the user gave to measure models on, and as `labelled_frames` a remark.

    Parameters
    ----------
    digests, with_masses
        As of `labelled_frames`.

    Raises
    ------
    StageError
        As `labelled_frames`, or DataInvalid if it is not told which system a frame is of, or if they are too few or too
        many.
    """
    data = params.holdout or []
    found, left_out = labelled_frames(context, data, "holdout.data", digests, with_masses)
    if data and not FEWEST_FRAMES <= len(found) <= MOST_MEASURED_ON:
        raise data_invalid(
            f"spec.holdout.data has {len(found)} frames: give {FEWEST_FRAMES} to {MOST_MEASURED_ON}. Fewer tell too "
            "little of a model, and every training predicts all of them; some hundred tell as much as thousands"
        )
    names = [system.name for system in params.systems]
    for each, trajectory in zip(found, _trajectories(found), strict=True):
        system = _system(each, data[each.number], names)
        about = {"system": system, "stratum": _stratum(each, system), "purpose": HOLD_OUT, "trajectory": trajectory}
        # those of a job stay known as such, to one that is given this job's hold-out, too
        about |= {"sampling": each.said["sampling"]} if is_of_a_job(each.said) else {}
        each.atoms.info = {**about, SOURCE: each.where, **each.atoms.info}
    return [each.atoms for each in found], left_out


def _system(frame: Given, data: HoldOutData, names: Sequence[str]) -> str:
    if data.system is not None:
        return data.system
    said = frame.said.get("system")
    if isinstance(said, str) and said in names:
        return said
    if len(names) == 1:
        return names[0]
    raise data_invalid(
        f"{frame.where}: nothing tells which of the systems ({first_of(names)}) its frame of "
        f"{frame.atoms.get_chemical_formula()} is of. Set its `system` in the spec, or write system= into each frame's "
        "comment line"
    )


def _stratum(frame: Given, system: str) -> str:
    """Return the conditions that a frame of a former job was found at; of others, the file."""
    conditions = conditions_of(str(frame.said.get("stratum", GIVEN))) if is_of_a_job(frame.said) else None
    return f"{system}/{conditions or frame.where.removeprefix('spec.')}"


def _trajectories(frames: Sequence[Given]) -> list[str]:
    """Return the trajectory of each frame: as its file says, or a stretch of those of its file that say none."""
    said = [said_trajectory(each.said, each.where) for each in frames]
    unsaid = Counter(each.where for each, name in zip(frames, said, strict=True) if name is None)
    so_far: Counter[str] = Counter()
    names = []
    for each, name in zip(frames, said, strict=True):
        part = so_far[each.where] * TRAJECTORIES_OF_A_FILE // max(1, unsaid[each.where])
        names.append(name or f"{each.where} part {part}")
        so_far[each.where] += name is None
    return names
