"""Both sides of a label pod around an engine's own image: stage-in writes its inputs, stage-out reads its outputs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from pfd_operator.contract.containers import ENGINE_FOLDER, RUN_SCRIPT
from pfd_operator.contract.engine import Engine
from pfd_operator.contract.probe import PROBE_FILE
from pfd_operator.contract.program import COMMAND_FILE, EXIT_CODE_FILE, LOG_FILE
from pfd_operator.contract.result import Reason, StageResult
from pfd_operator.contract.stage import LabelParams
from pfd_worker.errors import StageError, preempted, transient
from pfd_worker.label_desk import LabelDesk
from pfd_worker.label_entries import Entry
from pfd_worker.labelers.base import LabelFailure, Verdict
from pfd_worker.labelers.outputs import exit_code_of, failed, text_of
from pfd_worker.labelers.registry import external_labeler
from pfd_worker.run import run_stage
from pfd_worker.stage_context import StageContext, StageOutput
from pfd_worker.store.manifests import read_manifest

HEARTBEAT_LOST_SECONDS = 60.0
"""The engine container writes a heartbeat every 5 s; silence for this long means it was killed."""
_POLL_SECONDS = 0.5
_STOP = "stop"
"""By it stage-out tells the engine's container to end. A folder: making one follows no link."""
_OURS = "ours.json"
"""What stage-in has claimed, for stage-out."""
_log = logging.getLogger(__name__)

# POSIX sh and nothing else: it runs in any engine's image. One killed calculation must not stop the others, so the
# script never fails itself; what became of a calculation is judged from its files.
_SCRIPT = """#!/bin/sh
cd {folder} || exit 1
trap 'kill $beat $child 2>/dev/null; exit 0' TERM INT
( while [ ! -e {stop} ]; do : > heartbeat; sleep 5; done; kill -TERM $$ ) &
beat=$!
limit=""
command -v timeout >/dev/null 2>&1 && limit="timeout -k 10 {timeout}"
export OMP_NUM_THREADS="${{OMP_NUM_THREADS:-1}}"
for task in {tasks}; do
  [ -e "$task/{command}" ] || continue
  ( cd "$task" && exec $limit sh ./{command} ) > "$task/{log}" 2>&1 &
  child=$!
  wait $child
  echo $? > "$task/{exit_code}.part"
  mv "$task/{exit_code}.part" "$task/{exit_code}"
done
: > done
kill $beat
"""


def stage_in(context: StageContext) -> None:
    """Write the inputs of every calculation that is ours, and the script that runs them."""
    todo: list[Entry] = []
    claims: list[tuple[int, int]] = []
    _take_probe(context.workdir)
    if read_manifest(context.store, context.digest, context.index) is None:
        engine = _engine(context)
        desk = LabelDesk(context, engine)
        with desk.claims_freed():
            todo = desk.triage()
            for entry in todo:
                if context.stopping.is_set():
                    # no container of the engine follows, nor one that would give the claims back
                    raise preempted(f"stopped before any of {len(todo)} calculations was begun")
                desk.lease.keep()
                folder = _folder(context.workdir, entry)
                folder.mkdir(parents=True, exist_ok=True)
                external_labeler(entry.engine).write_inputs(entry.calculation, folder)
            claims = desk.claims()
    (context.workdir / _OURS).write_text(json.dumps(claims))
    shared = _shared(context.workdir)
    tasks = " ".join(str(_folder(context.workdir, entry).relative_to(shared)) for entry in todo)
    timeout = context.params(LabelParams).timeout_seconds
    script = _SCRIPT.format(
        folder=shared,
        tasks=tasks,
        timeout=timeout,
        stop=_STOP,
        command=COMMAND_FILE,
        log=LOG_FILE,
        exit_code=EXIT_CODE_FILE,
    )
    (shared / RUN_SCRIPT).write_text(script)


def _take_probe(workdir: Path) -> None:
    """Keep the probe's answer where the engine cannot write: it decides keys; what else it has left is not ours."""
    shared = _shared(workdir)
    shared.mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (workdir / PROBE_FILE).write_text(text_of(shared / PROBE_FILE))
    for left in shared.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def stage_out(context: StageContext) -> StageResult:
    """Store every label as soon as it is there; commit when all are.

    Raises
    ------
    StageError
        EngineLost (transient) if the engine's container died; what it had finished is stored.
    """
    return run_stage(context, _settled)


def end_engine(workdir: Path) -> None:
    """End the engine's container when stage-out fails: it would go on for nobody, and the pod not end before it has."""
    with contextlib.suppress(OSError):
        (_shared(workdir) / _STOP).mkdir()


def _settled(context: StageContext) -> StageOutput:
    desk = LabelDesk(context, _engine(context))
    with desk.claims_freed():
        _settle_all(context, desk)
    desk.leave()
    if not desk.all_there():
        raise preempted("another job gave up a calculation that this pod has waited for; the next pod computes it")
    return desk.output()


def _settle_all(context: StageContext, desk: LabelDesk) -> None:
    """Wait for the engine and settle each calculation that has ended."""
    desk.adopt(json.loads((context.workdir / _OURS).read_text()))
    waiting = {entry.number: entry for entry in desk.ours if entry.key not in desk.records}
    ended_at = time.time()
    alive_at = time.monotonic()
    beat: float | None = None
    while waiting:
        started = _started(context.workdir, waiting.values())
        desk.begin(started, [entry for entry in started if _has_ended(context.workdir, entry)])
        finished = (_shared(context.workdir) / "done").exists()
        new_beat = _modified(_shared(context.workdir) / "heartbeat")
        if new_beat != beat:
            beat, alive_at = new_beat, time.monotonic()
        lost = time.monotonic() - alive_at > HEARTBEAT_LOST_SECONDS
        try:
            for ended, entry, verdict in _ended(context.workdir, waiting.values()):
                desk.settle(entry, verdict, max(0.0, ended - ended_at))
                ended_at = max(ended, ended_at)
                # densities and orbitals of every calculation of a pod would fill the node's disk
                shutil.rmtree(_folder(context.workdir, entry), ignore_errors=True)
                del waiting[entry.number]
        except StageError as error:
            if error.reason is not Reason.STORE_UNAVAILABLE or finished or lost:
                raise
            # the engine needs no store, and what it has finished is whole on the disk
            _log.warning("results wait for the store: %s", error.message)
        if not waiting:
            break
        if context.stopping.is_set():
            raise preempted(f"stopped with {len(waiting)} calculations to go")
        for entry in _started(context.workdir, waiting.values()) if lost else ():
            desk.lose(entry)
        if finished or lost:
            raise transient(Reason.ENGINE_LOST, f"the engine's container ended with {len(waiting)} calculations to go")
        time.sleep(_POLL_SECONDS)


def _ended(workdir: Path, entries: Iterable[Entry]) -> list[tuple[float, Entry, Verdict]]:
    """Return when calculations ended and what became of them; what a fault of the machine ended, and the pod, last."""
    found = []
    for entry in entries:
        folder = _folder(workdir, entry)
        verdict = _verdict(entry, folder)
        if verdict is not None:
            found.append((_modified(folder / EXIT_CODE_FILE) or 0.0, entry, verdict))
    return sorted(found, key=lambda each: (each[2].by_machine, each[0]))


def _verdict(entry: Entry, folder: Path) -> Verdict | None:
    """Return what became of a calculation, None while it runs."""
    try:
        exit_code = exit_code_of(folder)
    except FileNotFoundError:
        return None
    except ValueError as error:
        return failed(folder, LabelFailure.OUTPUT_UNREADABLE, str(error))
    return external_labeler(entry.engine).read_outputs(entry.calculation, folder, exit_code)


def _engine(context: StageContext) -> Engine:
    engine = context.params(LabelParams).engine
    if engine is None:
        raise ValueError("a teacher labels in the worker")
    return engine


def _started(workdir: Path, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if (_folder(workdir, entry) / LOG_FILE).exists()]


def _has_ended(workdir: Path, entry: Entry) -> bool:
    return os.path.lexists(_folder(workdir, entry) / EXIT_CODE_FILE)


def _shared(workdir: Path) -> Path:
    return workdir / ENGINE_FOLDER


def _folder(workdir: Path, entry: Entry) -> Path:
    return _shared(workdir) / "tasks" / f"{entry.number:06d}"


def _modified(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:  # an engine may have put anything there
        return None
