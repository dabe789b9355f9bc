"""What a stage runs on: a time in ms says nothing without it."""

from __future__ import annotations

import os
import platform


def machine() -> str:
    """Return the GPU that models run on, if there is one, and the processor with its threads."""
    processor = f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
    gpu = _gpu()
    return processor if gpu is None else f"{gpu}, with {processor}"


def _gpu() -> str | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
