"""Messages that have to fit."""

from __future__ import annotations

from collections.abc import Sequence

MESSAGE_MAX = 1024
"""Of a condition, and of an Event."""
_LEFT_OUT = " […] "


def shortened(message: str, length: int = MESSAGE_MAX) -> str:
    """Return a message of at most `length` characters; a longer one loses its middle: the end often says what to do."""
    if len(message) <= length:
        return message
    half = (length - len(_LEFT_OUT)) // 2
    return f"{message[:half]}{_LEFT_OUT}{message[-half:]}" if half > 0 else ""


def first_of(names: Sequence[str], most: int = 4) -> str:
    """Return the first few names, and how many there are besides."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
