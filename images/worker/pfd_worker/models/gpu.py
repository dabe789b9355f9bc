"""How many atoms one prediction takes on a GPU."""

from __future__ import annotations

ATOMS_PER_GIB = 32
"""Of its memory: a DPA-3 of 1.3 million parameters takes some 9 MB for an atom, 7net-0 about 1 MB (on a processor)."""
MOST_ATOMS = 4096
"""An H200 is full then (docs/benchmarks/gpu.md)."""


def atoms_on_gpu() -> int | None:
    """Return for how many atoms of all frames its memory has room; None if there is no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    memory_gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return min(MOST_ATOMS, int(ATOMS_PER_GIB * memory_gib))
