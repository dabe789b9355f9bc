"""Messages that have to fit."""

from __future__ import annotations

MESSAGE_MAX = 1024
"""Of a condition."""


def shortened(message: str, length: int = MESSAGE_MAX) -> str:
    """Return a message of at most `length` characters; a longer one loses its middle: the end often says what to do."""
    if len(message) <= length:
        return message
    half = (length - 5) // 2
    return f"{message[:half]} […] {message[len(message) - half :]}"
