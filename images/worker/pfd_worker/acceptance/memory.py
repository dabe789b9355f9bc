"""Whether a larger cell fits into this pod, told before it is tried: the kernel kills, it raises no error."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_NO_LIMIT = 2**60
"""cgroup v1 writes a number near 2⁶³ where there is no limit."""
_MIB = 2**20


def memory_limit() -> int:
    """Return the bytes this container may use, or what the machine has if nothing limits it."""
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" is cgroup v2's word for no limit
            limit = int(path.read_text())
            if limit < _NO_LIMIT:
                return limit
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return _NO_LIMIT


@dataclass
class MemoryForecast:
    """Peak memory of this process at the sizes run so far, and a straight line through the last two."""

    limit: int
    """In bytes."""
    peaks: list[tuple[int, int]] = field(default_factory=list)
    """(atoms, bytes), in the order they were run."""

    def start(self) -> None:
        """Set the kernel's high-water mark back to what is in use now."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def note(self, atoms: int) -> None:
        """Read the high-water mark since `start`; without /proc nothing is noted and nothing is foretold."""
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.add(atoms, int(line.split()[1]) * 1024)

    def add(self, atoms: int, peak: int) -> None:
        """Take in a peak in bytes."""
        self.peaks.append((atoms, peak))

    def refusal(self, atoms: int) -> str | None:
        """Say why a cell of so many atoms would not fit; None if it would, or if fewer than two sizes are known."""
        if len(self.peaks) < 2:
            return None
        (small, low), (large, high) = self.peaks[-2:]
        if not small < large < atoms:
            return None
        foretold = high + max(0, high - low) / (large - small) * (atoms - large)
        if foretold <= self.limit:
            return None
        return (
            f"not tried: {high // _MIB} MiB at {large} and {low // _MIB} MiB at {small} atoms make about "
            f"{int(foretold) // _MIB} MiB at {atoms}, and {self.limit // _MIB} MiB are allowed"
        )
