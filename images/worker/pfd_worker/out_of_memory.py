"""How running out of memory, of the host or of the GPU, shows itself: in an error, in a log, in the kernel's count."""

from __future__ import annotations

import errno
from pathlib import Path

_WORDS = ("out of memory", "outofmemoryerror", "can't allocate memory", "cannot allocate memory", "bad_alloc")
_OF_GPU = ("cuda", "hip ", "xpu", "torch.outofmemoryerror")
_KERNEL_COUNTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Of cgroup v2 and v1."""


def says_out_of_memory(text: str) -> bool:
    """Tell whether a program's words are of a failed allocation."""
    text = text.lower()
    return any(words in text for words in _WORDS)


def says_gpu_out_of_memory(text: str) -> bool:
    """Tell whether a program's words are of a failed allocation on a GPU: more memory of the host would not help."""
    text = text.lower()
    return says_out_of_memory(text) and any(words in text for words in _OF_GPU)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is a failed allocation.

    torch raises RuntimeError (or a subclass of it), TorchScript wraps its text in a traceback; a fork or a mapping that
    finds no memory is an OSError; deepmd-kit raises an error of its own from torch's, when the smallest batch is too
    large for the GPU. Other errors may quote these words without being one.
    """
    if error.__cause__ is not None and is_out_of_memory(error.__cause__):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and says_out_of_memory(str(error)))


def kernel_kills() -> int:
    """Return how many processes of this container the kernel has killed for memory; 0 where it is not told."""
    for path in _KERNEL_COUNTS:
        try:
            for line in path.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    return int(value)
        except (OSError, ValueError):
            continue
    return 0
