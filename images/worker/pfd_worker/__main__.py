"""python -m pfd_worker: one attempt at a stage, or one side of a label pod, in a pod or in a shell."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from pfd_operator.contract.containers import WORK_DIRECTORY, Side
from pfd_operator.contract.result import StageResult
from pfd_operator.contract.stage import INDEX_VARIABLE, PROGRESS_VARIABLE, STAGE_SPEC_FILE, StageKind, StageSpec
from pfd_worker import log
from pfd_worker.progress import ProgressReporter
from pfd_worker.run import failure_of, run_stage, tell
from pfd_worker.stage_context import StageContext
from pfd_worker.store.conditions import check_writable
from pfd_worker.store.location import open_store
from pfd_worker.team import team_of

_log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code of the contract."""
    options = _parser().parse_args(arguments)
    # what goes wrong before anything is known of the stage is told without keys, too
    log.configure()
    try:
        context = make_context(options)
        log.configure(
            job=context.spec.job.name,
            iteration=context.spec.iteration,
            stage=context.spec.stage.value,
            index=context.index,
        )
        signal.signal(signal.SIGTERM, lambda *_: context.stopping.set())
        result = _run(options.side, context)
    except BaseException as error:  # the termination message is the only way anybody learns of it
        _log.exception("the stage failed")
        code, result = failure_of(error)
        try:
            tell(result)
        finally:
            if options.side == Side.LABEL_OUT:
                from pfd_worker import label_pod

                # also where not even the store could be opened
                label_pod.end_engine(Path(options.workdir))
        return int(code)
    if result is not None:
        tell(result)
    return 0


def _run(side: str, context: StageContext) -> StageResult | None:
    if side != Side.LABEL_OUT:
        # that one follows stage-in, and must end its engine whatever it meets
        check_writable(context.store)
    if side == Side.STAGE:
        return run_stage(context)
    from pfd_worker import label_pod

    if side == Side.LABEL_OUT:
        return label_pod.stage_out(context)
    label_pod.stage_in(context)
    return None


def make_context(options: argparse.Namespace) -> StageContext:
    """Read the spec and open what the stage needs."""
    spec = StageSpec.model_validate_json(Path(options.spec).read_text())
    workdir = Path(options.workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    index = options.index
    if index is None and _indexed(spec):
        index = int(os.environ.get(INDEX_VARIABLE, "0"))
    team = team_of(spec)
    return StageContext(
        spec=spec,
        store=open_store(spec.store),
        workdir=workdir,
        index=index,
        team=team,
        progress=ProgressReporter(spec.progress_url if team.leads else None, os.environ.get(PROGRESS_VARIABLE, "")),
        stopping=threading.Event(),
    )


def _indexed(spec: StageSpec) -> bool:
    return spec.stage in (StageKind.EXPLORE, StageKind.LABEL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pfd_worker", description=__doc__)
    parser.add_argument(
        "side",
        nargs="?",
        choices=[side.value for side in Side],
        default=Side.STAGE.value,
        help="the whole stage (default), or what runs before and after an engine with an image of its own",
    )
    parser.add_argument("--spec", default=STAGE_SPEC_FILE, help=f"StageSpec as JSON (default {STAGE_SPEC_FILE})")
    parser.add_argument(
        "--index", type=int, default=None, help=f"index of an indexed stage (default ${INDEX_VARIABLE})"
    )
    parser.add_argument(
        "--workdir", default=WORK_DIRECTORY, help=f"folder for files on the way (default {WORK_DIRECTORY})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
