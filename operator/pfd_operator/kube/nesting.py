"""JSON as users may nest it: the API server takes ten thousand levels, and those who read give up long before."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import from_json

DEEPEST_READ = 128
"""Levels of an answer. What is kept of a spec has fewer, so nothing that anybody looks at is lost."""
_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{}]')


def read_json(text: bytes) -> Any:
    """Return what is written in JSON; None in place of what is nested too deeply to be read.

    Raises
    ------
    ValueError
        If it is no JSON.
    """
    try:
        return from_json(text)
    except ValueError:
        return from_json(shallow(text))


def readable(text: bytes) -> bytes:
    """Return JSON that any reader takes: as it is, where `read_json` reads it as it is."""
    try:
        from_json(text)
    except ValueError:
        return shallow(text)
    return text


def shallow(text: bytes) -> bytes:
    """Return JSON with null in place of what is nested deeper than `DEEPEST_READ`."""
    parts, begin, depth = [], 0, 0
    for sign in _SIGNS.finditer(text):
        if sign[0] in (b"{", b"["):
            depth += 1
            if depth == DEEPEST_READ + 1:
                parts.append(text[begin : sign.start()])
        elif sign[0] in (b"}", b"]"):
            if depth == DEEPEST_READ + 1:
                begin = sign.end()
            depth -= 1
    return b"null".join([*parts, text[begin:]])
