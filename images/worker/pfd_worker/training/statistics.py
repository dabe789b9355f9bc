"""What deepmd-kit takes out of the frames before it trains from scratch: from as many of them as memory bears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from pfd_worker.cells import cell_heights, periodic_cell
from pfd_worker.evaluation.shift import fit_energies_of_elements
from pfd_worker.frames import energy_of
from pfd_worker.training.recipe import frames_of_batch

STATISTICS_BYTES = 2**30
BYTES_PER_PAIR = 60
"""Of an atom and another one, or an image of one: deepmd-kit has all pairs of all frames of a folder in memory at once.
Measured with 3.2.0 for se_e2_a and dpa1, 64 and 216 atoms."""
BYTES_PER_NEIGHBOUR = 250
"""Of a place in a neighbour list, measured likewise."""
NEIGHBOURS_PER_CUBIC_ANGSTROM = 0.15
"""Places for one and a half times the neighbours in a dense metal."""
USUAL_CUTOFF = 6.0


def bound_statistics(settings: MutableMapping[str, Any], frames: Sequence[Atoms]) -> None:
    """Let as many frames give the mean and spread of neighbourhoods as fit into `STATISTICS_BYTES`.

    They are drawn at random out of each folder. Energies of elements would come from the same few: these are taken from
    all frames here. Which elements occur is seen by any frame of each folder (`deepmd_sets.write_deepmd_sets`).

    Parameters
    ----------
    settings
        Of `deepmd_settings.complete_input`, for a training from scratch; changed.
    frames
        Trained on.
    """
    model, training = settings["model"], settings["training"]
    batches = max(1, int(STATISTICS_BYTES / _bytes_of_batch(frames, training["training_data"]["batch_size"], model)))
    if batches >= model["data_stat_nbatch"]:
        return
    model["data_stat_nbatch"] = batches
    # given energies are added once more where deepmd-kit is told to change those of the trained model
    if not training.get("change_bias_after_training"):
        symbols = [atoms.get_chemical_symbols() for atoms in frames]
        fitted = fit_energies_of_elements(symbols, np.array([energy_of(atoms) / len(atoms) for atoms in frames]))
        energies = [fitted.get(element, 0.0) for element in model["type_map"]]
        model.setdefault("preset_out_bias", {"energy": energies})


def _bytes_of_batch(frames: Sequence[Atoms], batch_size: int | str, model: Mapping[str, Any]) -> float:
    """Return what a batch of the folder takes whose batches take most."""
    cutoff = max(_cutoffs(model), default=USUAL_CUTOFF)
    places = NEIGHBOURS_PER_CUBIC_ANGSTROM * 4 / 3 * np.pi * cutoff**3
    # of one folder all frames get as many images as one of them needs; those of a size may be of several folders
    images: dict[tuple[int, bool], NDArray[np.float64]] = {}
    for atoms in frames:
        kind = (len(atoms), bool(atoms.pbc.any()))
        images[kind] = np.maximum(images.get(kind, 0.0), _images(atoms, cutoff))
    return max(
        frames_of_batch(batch_size, size)
        * size
        * (BYTES_PER_PAIR * size * float(np.prod(repeats)) + BYTES_PER_NEIGHBOUR * places)
        for (size, _), repeats in images.items()
    )


def _images(atoms: Atoms, cutoff: float) -> NDArray[np.float64]:
    """Return how many cells along each vector are looked at for neighbours."""
    if not atoms.pbc.any():
        return np.ones(3)
    shells: NDArray[np.float64] = np.ceil(cutoff / cell_heights(Atoms(cell=periodic_cell(atoms))))
    return 2 * shells + 1


def _cutoffs(section: Any) -> Iterator[float]:
    """Return the cutoffs in a model section, whatever its descriptor is made of, in Å."""
    if isinstance(section, Mapping):
        for key, value in section.items():
            if key.endswith("rcut") and isinstance(value, (int, float)):
                yield float(value)
            else:
                yield from _cutoffs(value)
    elif isinstance(section, list):
        for each in section:
            yield from _cutoffs(each)
