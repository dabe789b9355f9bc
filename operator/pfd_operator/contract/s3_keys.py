"""The keys to an object store, as a Secret or an environment gives them: which cannot be sent, and texts without."""

from __future__ import annotations

import re
from collections.abc import Mapping

S3_KEYS: Mapping[str, bool] = {
    "AWS_ACCESS_KEY_ID": True,
    "AWS_SECRET_ACCESS_KEY": True,
    # only temporary keys have a token
    "AWS_SESSION_TOKEN": False,
}
"""What a Secret with keys holds, and whether it must."""

# an id shorter than any of AWS is a user's name at a server of one's own, and such names are words of messages, too
_LEAST_SECRET_CHARACTERS = {"AWS_ACCESS_KEY_ID": 16, "AWS_SECRET_ACCESS_KEY": 8, "AWS_SESSION_TOKEN": 8}


def unusable_key(given: Mapping[str, str]) -> str | None:
    """Return which key cannot be sent as it is, why, and what to do, without its value; None if all can.

    A blank within a key is left to the server: names and pass phrases of its users may have some.
    """
    for name in S3_KEYS:
        value = given.get(name, "")
        if value.endswith(("\n", "\r")):
            fault = "ends in a line break (`echo KEY | base64` adds one; `printf %s KEY | base64` does not)"
        elif value != value.strip():
            fault = "begins or ends with a blank"
        elif not value.isprintable():
            fault = "has a character in it that cannot be printed"
        else:
            continue
        return f"{name} {fault}. Write it again as it was given to you, e.g. by kubectl create secret --from-literal"
    return None


def without_keys(text: str, given: Mapping[str, str]) -> str:
    """Return a text in which each key stands by its name, as far as it is long enough to be a secret."""
    values = {part: name for name in S3_KEYS for part in _printed_parts(given.get(name, ""), name)}
    # the longest first: one key may be a part of another
    for part in sorted(values, key=len, reverse=True):
        text = text.replace(part, f"[{values[part]}]")
    return text


def _printed_parts(value: str, name: str) -> list[str]:
    # a message may quote a key as repr() or ascii() do, which write other characters otherwise
    parts = map(str.strip, re.split("[^ -~]", value))
    return [part for part in parts if len(part) >= _LEAST_SECRET_CHARACTERS[name]]
