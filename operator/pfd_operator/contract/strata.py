"""Strata, each the frames of one system at one temperature and, if it has one, pressure: their names."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import product

from .exploration import MOST_TRAJECTORIES

_NUMBER = r"(?![-+.0-9e]{24})[0-9]{1,16}(?:\.[0-9]{1,20})?(?:e[-+][0-9]{2,3})?"
"""As `exact_number` writes one, without its sign: the longest have 23 characters."""


def exact_number(value: float) -> str:
    """Return a number for a name: as `g` writes it where that is all of it, else so that no other one has its name."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value)).removesuffix(".0")


def stratum_of(system: str, temperature_kelvin: float, pressure_bar: float | None) -> str:
    """Return the name of the frames of one system at one temperature and pressure."""
    pressure = "" if pressure_bar is None else f"/{exact_number(pressure_bar)}bar"
    return f"{system}/{exact_number(temperature_kelvin)}K{pressure}"


def system_of(stratum: str) -> str | None:
    """Return the system that a stratum's name says; None if its frames are of no MD."""
    return None if conditions_of(stratum) is None else stratum.partition("/")[0]


def temperature_of(stratum: str) -> float | None:
    """Return the temperature that a stratum's name says, in K; None if its frames are of no MD."""
    found = re.fullmatch(rf"[^/]+/({_NUMBER})K(/.*)?", stratum)
    return None if found is None else float(found[1])


def pressure_of(stratum: str) -> float | None:
    """Return the pressure that a stratum's name says, in bar; None if it says none."""
    found = re.fullmatch(rf"[^/]+/[^/]+/(-?{_NUMBER})bar", stratum)
    return None if found is None else float(found[1])


def conditions_of(stratum: str) -> str | None:
    """Return what a stratum's name says but its system; None if its frames are of no MD."""
    found = re.fullmatch(rf"[^/]+/({_NUMBER}K(?:/(?:-?{_NUMBER}bar|aimd))?)", stratum)
    return None if found is None else found[1]


def joined_names(strata: Iterable[str]) -> list[str]:
    """Return names of strata in little room: those that differ in one part only as one, `bulk/300K,600K/1bar`."""
    names = [tuple(stratum.split("/")) for stratum in strata]
    for part in reversed(range(max(map(len, names), default=0))):
        alike: defaultdict[tuple[int, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
        for name in names:
            alike[len(name), name[:part], name[part + 1 :]] += name[part : part + 1]
        names = [(*before, ",".join(own), *after) if own else before for (_, before, after), own in alike.items()]
    return ["/".join(name) for name in names]


def strata_in(names: Iterable[str]) -> list[str]:
    """Return the strata that such names stand for, each by its own; none if no exploration has so many."""
    parts = [[part.split(",") for part in name.split("/")] for name in names]
    # a line of commas, which a pod may send, stands for more than there is memory for
    if sum(math.prod(map(len, each)) for each in parts) > MOST_TRAJECTORIES:
        return []
    return ["/".join(chosen) for each in parts for chosen in product(*each)]
