"""Formats in which a program may leave its results: what reads them, and how they say that a cycle converged.

ASE reads unconverged results like any others. Texts are those of VASP 5.4 and 6.3, Quantum ESPRESSO 5 to
7 (pw.x), and ORCA 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ase import Atoms
from ase.io import read

from pfd_operator.contract.program import OutputFormat


@dataclass(frozen=True)
class Markers:
    """Texts by which an output tells what became of the calculation."""

    finished: str
    """In every output that is complete."""
    unconverged: tuple[str, ...] = ()
    converged: str = ""
    """In every output of a cycle that converged; empty if there is no such text."""
    structure: str = ""
    """Once for each structure that was computed; empty if a second one shows by where its atoms are."""
    limit: str = ""
    """The number of steps that a cycle may take, for programs that say too little when it took them all."""
    step: str = ""
    """Each of them."""

    def tell_unconverged(self, text: str) -> bool:
        """Say whether the output tells, or by its silence, that the cycle did not converge."""
        silent = self.finished in text and self.converged not in text
        return silent or any(words in text for words in self.unconverged) or self._took_all_steps(text)

    def complaint(self, text: str) -> str:
        """Return why the output is not that of one calculation that came to its end; empty if it is."""
        if self.finished not in text:
            return f'it was cut off, or is none of this format: "{self.finished}" is not in it'
        count = text.count(self.structure) if self.structure else 1
        return "" if count == 1 else f"it holds {count} structures, a single point is expected"

    def _took_all_steps(self, text: str) -> bool:
        # one that converged in the very last step counts as one that did not
        limit = re.search(self.limit, text, re.MULTILINE) if self.limit else None
        return limit is not None and len(re.findall(self.step, text)) >= int(limit[1])


_MARKERS = {
    OutputFormat.VASP_XML: Markers(
        "</modeling>",
        structure="<calculation",
        limit=r'<i[^>]* name="NELM"[^>]*>\s*(\d+)',
        step="<scstep",
    ),
    OutputFormat.VASP_OUT: Markers(
        "General timing and accounting informations",
        ("aborting loop EDIFF was not reached", "aborting loop because hard stop was set"),
        # VASP 5 says so of every cycle
        "aborting loop because EDIFF is reached",
        structure="FREE ENERGIE OF THE ION-ELECTRON SYSTEM",
        limit=r"^\s*NELM\s*=\s*(\d+)",
        step=r"Iteration\s+\d+\(\s*\d+\)",
    ),
    OutputFormat.ESPRESSO_OUT: Markers("JOB DONE.", ("convergence NOT achieved",), "convergence has been achieved"),
    OutputFormat.ORCA_OUTPUT: Markers(
        "ORCA TERMINATED NORMALLY",
        ("Wavefunction not fully converged", "SCF NOT CONVERGED AFTER", "This wavefunction IS NOT CONVERGED"),
    ),
}


def is_unconverged(kind: OutputFormat, text: str) -> bool:
    """Say whether an output tells that the self-consistent cycle did not converge."""
    return kind in _MARKERS and _MARKERS[kind].tell_unconverged(text)


def read_result(kind: OutputFormat, text: str) -> Atoms:
    """Return the structure of an output with its results in `calc.results`, as ASE reads them.

    Raises
    ------
    Exception
        Whatever ASE's reader raises, and ValueError for an output that is not complete.
    """
    complaint = _MARKERS[kind].complaint(text) if kind in _MARKERS else ""
    if complaint:
        raise ValueError(complaint)
    return _READERS.get(kind, _last)(kind, text)


class _File(StringIO):
    """A text that ASE's reader of OUTCAR takes for a file, with no POSCAR beside it to look into."""

    name = "/nowhere/output"


def _last(kind: OutputFormat, text: str) -> Atoms:
    return _atoms(read(_File(text), index=-1, format=kind.value))


def _only(kind: OutputFormat, text: str) -> Atoms:
    frames = read(StringIO(text), index=":", format=kind.value)
    if len(frames) != 1:
        raise ValueError(f"it has {len(frames)} frames, one is expected")
    return _atoms(frames[0])


def _xml(kind: OutputFormat, text: str) -> Atoms:
    # entities can be made to grow without bound, and VASP declares none
    if "<!" in text:
        raise ValueError("it declares a document type or entities, which VASP does not")
    return _last(kind, text)


def _atoms(found: Any) -> Atoms:
    if not isinstance(found, Atoms):
        raise TypeError("no structure was found in it")
    return found


_READERS: dict[OutputFormat, Callable[[OutputFormat, str], Atoms]] = {
    OutputFormat.EXTXYZ: _only,
    OutputFormat.VASP_XML: _xml,
}
