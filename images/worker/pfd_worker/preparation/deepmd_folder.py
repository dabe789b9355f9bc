"""A folder of deepmd/npy data in the object store: fetched with care, since anyone may have written it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ase import Atoms

from pfd_operator.contract.digest import digest_of
from pfd_worker.errors import data_invalid
from pfd_worker.input_limits import LABELLED, TooLargeError
from pfd_worker.labelers.outputs import LARGEST_BYTES
from pfd_worker.stage_context import StageContext
from pfd_worker.store.at_once import at_once
from pfd_worker.store.manifests import sha256_of
from pfd_worker.training.deepmd_sets import read_deepmd_set

MOST_FILES = 10_000
LARGEST_IN_ALL_BYTES = 8 * LARGEST_BYTES
_FILE = re.compile(
    r"(?P<system>(?:.*/)?)(?P<file>type\.raw|type_map\.raw|nopbc|"
    r"(?P<set>set\.[^/]+)/(?P<array>coord|box|energy|force|virial|real_atom_types|spin|fparam|aparam)\.npy)",
    re.DOTALL,
)
_FOR_ALL_SETS = {"virial", "real_atom_types"}
_OTHER_STATES = {"spin", "fparam", "aparam"}
_COMPLETE = (
    "Each system of deepmd/npy needs type.raw, type_map.raw (the names of its elements) and set.* with coord.npy, "
    "energy.npy, force.npy and box.npy, in place of which there may be a file nopbc; virial.npy is in all its sets or "
    "in none"
)


def deepmd_frames(context: StageContext, uri: str, where: str) -> tuple[str, Iterator[tuple[str, Atoms]]]:
    """Fetch the deepmd-kit systems at and below an address that ends in /.

    Returns
    -------
    tuple
        (digest of their content, their frames as they are read, each with its place for messages).

    Raises
    ------
    StageError
        DataInvalid, naming the file.
    """
    systems = _listed(context, uri, where)
    # names of theirs may hold anything, ours do not, and no path leads elsewhere
    folder = context.workdir / "inputs" / digest_of(uri)[:16]
    folders = {system: folder / str(number) for number, system in enumerate(systems)}
    # outside a pod it may have what was there before
    shutil.rmtree(folder, ignore_errors=True)

    def fetched(match: re.Match[str]) -> tuple[str, str]:
        path = folders[match["system"]] / match["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        context.store.download_uri(uri + match[0], path)
        return match[0], sha256_of(path)

    content = dict(at_once(fetched, [match for files in systems.values() for match in files]))
    return digest_of(content), _read(folders, uri, where)


def _listed(context: StageContext, uri: str, where: str) -> dict[str, list[re.Match[str]]]:
    """Return the files of each system, named as it is below the address."""
    sizes = context.store.sizes_below(uri, MOST_FILES + 1)
    if len(sizes) > MOST_FILES:
        raise data_invalid(
            f"{where}: more than {MOST_FILES} objects are below {uri}. Give folders with less in them, or join "
            'systems by dpdata: to("deepmd/npy/mixed")'
        )
    found = [match for name in sorted(sizes) if (match := _FILE.fullmatch(name))]
    large = next((match[0] for match in found if sizes[match[0]] > LARGEST_BYTES), None)
    if large is not None:
        raise data_invalid(
            f"{where}: {uri}{large} has {sizes[large] / 2**20:.0f} MiB, and a file at most {LARGEST_BYTES // 2**20}. "
            "Split the system in several set.*, as dpdata does by set_size"
        )
    in_all = sum(sizes[match[0]] for match in found)
    if in_all > LARGEST_IN_ALL_BYTES:
        raise data_invalid(
            f"{where}: the data below {uri} are {in_all / 2**20:.0f} MiB, and at most {LARGEST_IN_ALL_BYTES // 2**20} "
            "are read. Give part of them"
        )
    systems: dict[str, list[re.Match[str]]] = {
        match["system"]: [] for match in found if match["set"] or match["file"] == "type.raw"
    }
    if not systems:
        raise data_invalid(f"{where}: there are no deepmd/npy data at or below {uri}. {_COMPLETE}")
    for match in found:
        systems.get(match["system"], []).append(match)
    for system, files in systems.items():
        _check_complete(files, f"{where}: {uri}{system}")
    return systems


def _check_complete(files: list[re.Match[str]], where: str) -> None:
    names = {match["file"] for match in files}
    arrays = {match["array"] for match in files}
    if told := sorted(_OTHER_STATES & arrays):
        raise data_invalid(
            f"{where} has {told[0]}.npy: its labels are of a state (spins, an electronic temperature, …) that ours "
            "are not of. Leave the system out, or that file if it changes nothing"
        )
    needed = {"coord", "energy", "force", *(_FOR_ALL_SETS & arrays)} | (set() if "nopbc" in names else {"box"})
    sets = {match["set"] for match in files if match["set"]} or {"set.000"}
    complete = {"type.raw", "type_map.raw", *(f"{each}/{array}.npy" for each in sets for array in needed)}
    if missing := sorted(complete - names):
        raise data_invalid(f"{where} has no {missing[0]}. {_COMPLETE}")


def _read(folders: dict[str, Path], uri: str, where: str) -> Iterator[tuple[str, Atoms]]:
    for system, folder in folders.items():
        try:
            frames = list(LABELLED.counted(read_deepmd_set(folder)))
        except TooLargeError as error:
            raise data_invalid(f"{where}: {uri}{system} {error}") from error
        except Exception as error:  # dpdata and NumPy raise whatever the content leads them to
            raise data_invalid(f"{where}: {uri}{system} is not deepmd/npy that dpdata reads: {error}") from error
        for row, atoms in enumerate(frames):
            yield f"{where}, frame {row} of {uri}{system}", atoms
