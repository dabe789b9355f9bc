"""Label: compute the reference energies, forces and virials of one index's tasks inside the worker.

An engine with an image of its own is served by `label_pod` in place of this module; the teacher's labels are those of
`teacher`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby

from pfd_operator.contract.stage import LabelParams
from pfd_worker.errors import StageError, preempted
from pfd_worker.label_desk import LabelDesk
from pfd_worker.label_entries import Entry
from pfd_worker.labelers.base import InProcessLabeler
from pfd_worker.labelers.registry import limited_labeler
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.teacher import label_by_teacher

_RENEW_SECONDS = 5.0
_log = logging.getLogger(__name__)


def run(context: StageContext) -> StageOutput:
    """Compute what is not stored yet, one task after another; every finished label is safe at once."""
    params = context.params(LabelParams)
    if params.engine is None:
        return label_by_teacher(context)
    desk = LabelDesk(context, params.engine)
    with desk.claims_freed(), _claims_kept(desk):
        there = False
        while not there:
            for engine, entries in groupby(desk.triage(), key=lambda entry: entry.engine):
                with limited_labeler(engine, params.timeout_seconds) as labeler:
                    _compute(desk, labeler, entries)
            there = desk.all_there()
    desk.leave()
    return desk.output()


def _compute(desk: LabelDesk, labeler: InProcessLabeler, entries: Iterable[Entry]) -> None:
    for entry in entries:
        if desk.context.stopping.is_set():
            raise preempted(f"stopped after {len(desk.records)} of {len(desk.entries)} calculations")
        desk.begin([entry])
        started = time.monotonic()
        desk.settle(entry, labeler.compute(entry.calculation), time.monotonic() - started)


@contextmanager
def _claims_kept(desk: LabelDesk) -> Iterator[None]:
    """Renew claims in the background: a calculation may take longer than a claim lasts."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(_RENEW_SECONDS):
            try:
                desk.lease.keep()
            except StageError as error:
                # it may be refused once; where it stays so, the next request of the stage itself is, too
                _log.warning("claims are not renewed: %s", error.message)

    thread = threading.Thread(target=renew, daemon=True, name="claims")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
