"""Plain text for a terminal: tables with aligned columns, and words that do nothing to it."""

from __future__ import annotations

from collections.abc import Sequence


def printable(text: str) -> str:
    """Return text as one line, escapes in place of what cannot be seen: jobs and images say what they like."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return lines with columns as wide as their widest cell; empty cells show as a dash."""
    cells = [list(header), *([printable(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def duration(seconds: float) -> str:
    """Return seconds as people say them, e.g. 2 h 05 min, 3 min 07 s or 12 s."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s"


def size(count: int) -> str:
    """Return a number of bytes as people say it, e.g. 12.3 MB."""
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count} B"
