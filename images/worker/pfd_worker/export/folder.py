"""What is uploaded of an exported model: its files, inputs, card and manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.io import write

from pfd_operator.contract.exploration import Barostat
from pfd_worker import stage_files
from pfd_worker.acceptance.verdict import accepted, summary
from pfd_worker.cells import periodic_cell
from pfd_worker.export.card import ModelCard
from pfd_worker.export.inputs import DATA, STRUCTURE, ase_script, lammps_input
from pfd_worker.export.markdown import card_markdown
from pfd_worker.store.manifests import StoredFile, sha256_of

_PURPOSES = {
    "model.pt": "checkpoint, to train on from",
    stage_files.FROZEN: "frozen model",
    stage_files.COMPRESSED: "frozen and compressed: the fastest",
    "in.lammps": "LAMMPS input",
    DATA: "structure for in.lammps",
    "run_ase.py": "ASE script",
    STRUCTURE: "structure for run_ase.py",
}


@dataclass(frozen=True)
class ModelFiles:
    """One model in the forms there are."""

    checkpoint: Path
    """Single-task .pt."""
    frozen: Path
    """.pth."""
    compressed: Path | None
    """.pth; None where the model allows none."""

    @property
    def to_run(self) -> str:
        """Name, in the folder, of the form that inputs use."""
        return stage_files.FROZEN if self.compressed is None else stage_files.COMPRESSED


def export_model(folder: Path, model: ModelFiles, sample: Atoms, card: ModelCard) -> dict[str, Path]:
    """Write everything a user needs to run and to judge a model.

    Parameters
    ----------
    folder
        Where to; made if it is missing, and what it holds under the same names is overwritten.
    model
        Files to copy.
    sample
        Structure that the inputs run; `slab` in its info says that it is one. Without full periodicity there
        are no LAMMPS files: they would need a box that nobody has chosen.
    card
        What is known of the model.

    Returns
    -------
    dict
        Name → path of every file written. `manifest.json` holds sha256 and size of every other.

    Raises
    ------
    ValueError
        If the sample has an element that the model does not know, or the card a value that is not a number.
    """
    _check_elements(sample, card.type_map)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model.checkpoint, folder / "model.pt")
    shutil.copyfile(model.frozen, folder / stage_files.FROZEN)
    names = ["model.pt", stage_files.FROZEN]
    if model.compressed is not None:
        shutil.copyfile(model.compressed, folder / stage_files.COMPRESSED)
        names.append(stage_files.COMPRESSED)
    names += _write_inputs(folder, model.to_run, sample, card)
    files = {name: _stored(folder / name) for name in names}
    content = {
        **card.to_json(),
        "accepted": accepted(card.checks),
        "summary": summary(card.checks),
        "files": {name: _entry(file) for name, file in files.items()},
    }
    (folder / "card.json").write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    (folder / "card.md").write_text(card_markdown(card, files, _PURPOSES))
    names += ["card.json", "card.md"]
    manifest = {"name": card.name, "files": {name: _entry(_stored(folder / name)) for name in sorted(names)}}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return {name: folder / name for name in [*names, "manifest.json"]}


def _check_elements(sample: Atoms, type_map: Sequence[str]) -> None:
    unknown = sorted(set(sample.get_chemical_symbols()) - set(type_map))
    if unknown:
        raise ValueError(
            f"the sample {sample.get_chemical_formula()} contains {', '.join(unknown)}, which the model does not know "
            f"(it knows {', '.join(type_map)}): take one of the systems it was trained on"
        )


def _write_inputs(folder: Path, model: str, sample: Atoms, card: ModelCard) -> list[str]:
    # velocities, labels and info of the frame are not the structure
    cell = periodic_cell(sample) if sample.pbc.any() else sample.cell
    structure = Atoms(sample.numbers, positions=sample.positions, cell=cell, pbc=sample.pbc)
    structure.wrap()
    write(folder / STRUCTURE, structure, format="extxyz")
    (folder / "run_ase.py").write_text(ase_script(card.name, model, card.conditions))
    if not sample.pbc.all():
        return [STRUCTURE, "run_ase.py"]
    write(
        folder / DATA,
        structure,
        format="lammps-data",
        specorder=list(card.type_map),
        masses=True,
        # of all boxes of one lattice LAMMPS is fastest with the one that leans least
        reduce_cell=True,
        # its barostat moves the angles of a triclinic box only, and a right-angled one is that if it says so
        force_skew=card.conditions.barostat is Barostat.FLEXIBLE,
    )
    slab = bool(sample.info.get("slab", False))
    (folder / "in.lammps").write_text(lammps_input(card.name, model, card.type_map, card.conditions, slab))
    return [STRUCTURE, "run_ase.py", DATA, "in.lammps"]


def _stored(path: Path) -> StoredFile:
    return StoredFile(path.name, sha256_of(path), path.stat().st_size)


def _entry(file: StoredFile) -> dict[str, str | int]:
    return {"sha256": file.sha256, "bytes": file.bytes}
