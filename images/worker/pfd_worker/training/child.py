"""python -m pfd_worker.training.child PROGRAM …: a training program with what we ask of it beyond its own options."""

from __future__ import annotations

import os
import runpy
import shutil
import sys

from pfd_worker.training.answering import deepmd_answers, sevennet_answers
from pfd_worker.training.on_processors import join_by_gloo

_ANSWERS = {"dp": deepmd_answers, "sevenn": sevennet_answers}


def main(arguments: list[str]) -> None:
    """Run a program of this environment as Python would."""
    import torch

    program = arguments[0]
    script = shutil.which(program)
    if script is None:
        raise SystemExit(f"there is no program {program}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available():
        join_by_gloo()
    _ANSWERS[program]()
    sys.argv = [script, *arguments[1:]]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
