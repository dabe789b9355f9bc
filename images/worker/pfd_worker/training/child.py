"""python -m pfd_worker.training.child PROGRAM …: a training program with what we ask of it beyond its own options."""

from __future__ import annotations

import logging
import os
import runpy
import shutil
import sys
import traceback
from typing import NoReturn

from pfd_worker.training.answering import deepmd_answers, sevennet_answers
from pfd_worker.training.process_group import join_by_gloo, keep_process_group

_ANSWERS = {"dp": deepmd_answers, "sevenn": sevennet_answers}


def main(arguments: list[str]) -> None:
    """Run a program of this environment as Python would."""
    import torch

    program = arguments[0]
    script = shutil.which(program)
    if script is None:
        raise SystemExit(f"there is no program {program}")
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if together:
        if not torch.cuda.is_available():
            join_by_gloo()
        keep_process_group()
    _ANSWERS[program]()
    sys.argv = [script, *arguments[1:]]
    if together:
        _leave(_exit_code(script))
    runpy.run_path(script, run_name="__main__")


def _exit_code(script: str) -> int:
    """Run a program and return what it ends with, an error told as Python tells it."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    """End this process without waiting for threads of the process group, which may wait for others, or for Python."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
