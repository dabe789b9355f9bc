"""What a stage runs on: a time in ms says nothing without it, and a GPU that nobody uses is paid for."""

from __future__ import annotations

import os
import platform

from pfd_operator.contract.result import Reason
from pfd_operator.contract.stage import StageKind
from pfd_worker.errors import transient, user_error

_NO_DRIVER = "found no nvidia driver"
"""Torch's words where there is no libcuda; of a driver that fails, or sees no GPU, it has others."""


def machine() -> str:
    """Return the GPU that models run on, if there is one, and the processor with its threads."""
    processor = f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
    gpu = _gpu()
    return processor if gpu is None else f"{gpu}, with {processor}"


def check_gpu(stage: StageKind, gpus: int) -> None:
    """Look whether models can use the GPUs that this container was given: without, they compute on the processor.

    Parameters
    ----------
    stage
        Whose container it is.
    gpus
        How many it was given.

    Raises
    ------
    StageError
        GpuUnusable: transient, unless it is for torch's build or want of a driver, which other nodes do not change.
    """
    import torch

    if torch.cuda.is_available():
        return
    pods = f"spec.pods.{stage.value}"
    asks = f"{pods} asks for {gpus} GPU{'s' * (gpus > 1)}"
    give_back = f"take the GPU out of {pods} (gpus: 0 of a resourceClaim that is none)"
    if not torch.backends.cuda.is_built():
        raise user_error(
            Reason.GPU_UNUSABLE,
            f"{asks}, which this worker image cannot use: its torch {torch.__version__} is built for processors only. "
            f"Either {give_back}, or have an image with CUDA used: worker-gpu as images.worker of the chart; for "
            "SevenNet one that you build, as images.calculators or spec.teacher.image.",
        )
    fault = _fault_of_gpu()
    if _NO_DRIVER in fault.lower():
        raise user_error(
            Reason.GPU_UNUSABLE,
            f"{asks}, and its container sees no driver, though torch {torch.__version__} of the worker image could use "
            f"one: the node's container runtime puts none there. Set {pods}.runtimeClassName if your cluster has a "
            f"class for GPUs (often nvidia), ask the administrator for a GPU of a kind that torch can use, or "
            f"{give_back}.",
        )
    raise transient(
        Reason.GPU_UNUSABLE,
        f"{asks}, and torch {torch.__version__} of the worker image cannot use one on this node: {fault}. If other "
        "nodes say the same, their driver may be older than the image's CUDA: ask the administrator.",
    )


def _fault_of_gpu() -> str:
    """Return what torch says of a GPU that it cannot use: `is_available` keeps it to itself."""
    import torch

    try:
        torch.cuda.init()
    except RuntimeError as error:
        return str(error).partition("\n")[0].rstrip(".")
    return "it finds none"


def _gpu() -> str | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
