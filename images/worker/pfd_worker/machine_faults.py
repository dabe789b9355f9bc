"""How a fault of the machine, its GPU, disk or network, shows itself in an error or a log."""

from __future__ import annotations

_WORDS = (
    "cuda error",
    "cudnn error",
    "cudnn_status",
    "no cuda gpus are available",
    "nccl error",
    "distbackenderror",
    "bus error",
    "no space left on device",
    "input/output error",
    "stale file handle",
)


def says_machine_fault(text: str) -> bool:
    """Tell whether words are of a fault that another attempt, on another machine perhaps, need not meet."""
    text = text.lower()
    return any(words in text for words in _WORDS)
