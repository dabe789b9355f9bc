"""The group of a training program's processes: joined by gloo on processors, and kept until the process ends.

deepmd-kit takes for granted that each of several processes has a GPU: it asks for NCCL, chooses its device, and names
it to torch's data parallelism. The three places are torch's, and are changed for this process here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pfd_worker.training.launch import PATIENCE_SECONDS


def join_by_gloo() -> None:
    """Change the three places."""
    import torch.distributed
    from torch.nn import Module, parallel

    class DataParallel(parallel.DistributedDataParallel):  # type: ignore[misc]
        """On processors: no devices are named."""

        def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, **options: Any) -> None:
            super().__init__(module, **options)

    begin = torch.distributed.init_process_group
    timeout = timedelta(seconds=PATIENCE_SECONDS)
    torch.distributed.init_process_group = lambda *_, **__: begin("gloo", timeout=timeout)
    torch.cuda.set_device = lambda device: None
    parallel.DistributedDataParallel = DataParallel


def keep_process_group() -> None:
    """Keep the group that a program begins from being freed.

    torch's data parallelism frees it, if it is the last that has it, while it holds Python's lock, and waits for
    gloo's threads; one of these may need the lock to free a tensor. Seen with torch 2.6: a training that had written
    its last checkpoint and never ended.
    """
    import torch.distributed

    begin = torch.distributed.init_process_group

    def kept(*arguments: Any, **options: Any) -> None:
        begin(*arguments, **options)
        _KEPT.append(torch.distributed.group.WORLD)

    torch.distributed.init_process_group = kept


_KEPT: list[Any] = []
