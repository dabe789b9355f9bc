"""Ports for servers that must be told theirs."""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 12000, 29000
"""Below those of NodePorts and of outgoing connections: nothing takes one of these unasked."""


def free_port(in_a_row: int = 1) -> int:
    """Return the first of so many free ports in a row; at random, so that two runs at a time do not meet."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(_FIRST, _LAST - in_a_row)
        if all(_is_free(each) for each in range(port, port + in_a_row)):
            return port
    raise RuntimeError(f"no {in_a_row} free ports in a row between {_FIRST} and {_LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
