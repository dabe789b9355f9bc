"""DFT frames of the user's own that a student is measured on: read and checked by prepare, and by accept to measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pfd_operator.contract.systems import LabelledData
from pfd_worker.acceptance.dft import DftFrames, frames_of_the_student
from pfd_worker.errors import data_invalid
from pfd_worker.preparation.data import MOST_MEASURED_ON, given_data
from pfd_worker.stage_context import StageContext

_FIELD = "acceptance.dftData"


def given_dft_frames(context: StageContext, files: Sequence[LabelledData], elements: Collection[str]) -> DftFrames:
    """Return the frames that a student of these elements is measured on.

    Raises
    ------
    StageError
        DataInvalid, naming file and frame, or if they are too many.
    """
    digests: dict[str, str] = {}
    # energies and forces do not depend on masses
    frames, isolated = given_data(context, files, _FIELD, digests, set())
    found = frames_of_the_student(frames, f"spec.{_FIELD}", elements)
    if len(found.frames) > MOST_MEASURED_ON:
        raise data_invalid(
            f"spec.{_FIELD} has {len(found.frames)} frames of the student's elements: give at most {MOST_MEASURED_ON}, "
            "such as an even sample of each file. Teacher and student predict all of them; some hundred tell as much "
            "as thousands"
        )
    addresses = [data.uri for data in files]
    return replace(
        found, files=dict(zip(addresses, digests.values(), strict=True)), cautions=[isolated, *found.cautions]
    )
