"""What computes a label, by content: part of its key, so that another engine or pseudopotential is another label."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pfd_operator.contract.digest import digest_of
from pfd_operator.contract.engine import Engine
from pfd_operator.contract.probe import MISSING, PROBE_FILE, PROBE_SCRIPT, needed_items, probe_arguments
from pfd_operator.contract.result import Reason
from pfd_worker.errors import StageError, user_error


def fingerprint(engine: Engine, workdir: Path) -> dict[str, str]:
    """Return item → digest or version of everything outside the spec that decides what a label is.

    Parameters
    ----------
    engine
        The spec's engine.
    workdir
        Folder in which the probe of an engine with an image of its own has left its answer. Without one (in a shell),
        engine and worker share a machine, and it is asked here.

    Raises
    ------
    StageError
        EngineMissing or PseudopotentialMissing, if the image lacks the program, or a file.
    """
    arguments = probe_arguments(engine)
    return _probed(engine, arguments, workdir) if arguments else _packages(engine)


def as_in_keys(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return an engine with what was found of it as label keys hold it: commands from the engine's program on.

    The number of processes in `mpirun -np 8 abinit` changes no label. The program is the last word that the probe has
    found to be one; by its digest, and that of the launcher, it stays in the content. So does what is in a ConfigMap or
    Secret, whatever its name. A file of the user's that a word before the program names says what is run, and stays.

    Parameters
    ----------
    engine
        Settings by the engine's name, and `content`, the answer of `fingerprint`.
    """
    found = engine.get("content", {})
    described = dict(engine)
    for name, settings in engine.items():
        if name != "content" and "command" in settings:
            described[name] = {**settings, "command": _from_program_on(settings, found)}
            described[name].pop("filesFrom", None)
    return described


def _from_program_on(settings: Mapping[str, Any], found: Mapping[str, str]) -> list[str]:
    command = settings["command"]
    program = max((number for number, word in enumerate(command) if f"program:{word}" in found), default=0)
    given = {
        *settings.get("files", ()),
        *(source["key"] for each in settings.get("filesFrom", ()) for source in each.values()),
    }
    return [*(word for word in command[:program] if word in given), *command[program:]]


def of_elements(engine: Mapping[str, Any], elements: Collection[str]) -> dict[str, Any]:
    """Return an engine with what was found of it, without what is there for other elements only.

    Parameters
    ----------
    engine
        Settings by the engine's name, and `content`, the answer of `fingerprint`.
    elements
        Those of a frame: no other pseudopotential is part of its label.
    """
    described, unused = dict(engine), set()
    for name, settings in engine.items():
        if name != "content" and "pseudopotentials" in settings:
            files = settings["pseudopotentials"]
            kept = {"pseudopotentials": _of(files, elements)}
            if "extra" in settings:
                kept["extra"] = {key: _of(value, elements) for key, value in settings["extra"].items()}
            described[name] = settings | kept
            unused |= {f"file:{file}" for file in set(files.values()) - set(kept["pseudopotentials"].values())}
    if "content" in engine:
        described["content"] = {item: digest for item, digest in engine["content"].items() if item not in unused}
    return described


def _of(value: Any, elements: Collection[str]) -> Any:
    """Return the part of an {element: value} that is of these elements; anything else as it is."""
    return {key: each for key, each in value.items() if key in elements} if isinstance(value, Mapping) else value


def _probed(engine: Engine, arguments: list[str], workdir: Path) -> dict[str, str]:
    answer = workdir / PROBE_FILE
    if not answer.exists():
        subprocess.run(["sh", "-c", PROBE_SCRIPT, "probe", *arguments], cwd=workdir, check=True)
    lines = (line.partition(" ") for line in answer.read_text().splitlines())
    found = {item: digest for digest, _, item in lines}
    # of a launcher's arguments nobody knows which are programs
    for item in needed_items(engine):
        if found.get(item, MISSING) == MISSING:
            raise _missing(engine, item, arguments[0])
    return {item: digest for item, digest in found.items() if digest != MISSING}


def _missing(engine: Engine, item: str, folder: str) -> StageError:
    kind, name = item.split(":", 1)
    if kind == "program":
        return user_error(
            Reason.ENGINE_MISSING,
            f"the engine's image has no program {name} (spec.labeling.engine, command"
            f"{'' if engine.program is None else ' or requires'}). "
            "Correct the command, or give spec.labeling.image an image that has it.",
        )
    if engine.program is None:
        return user_error(
            Reason.PSEUDOPOTENTIAL_MISSING,
            f"the engine's image has no readable file {name} (spec.labeling.engine, pseudopotentials). "
            f"Names are below the image's ${folder}, or absolute.",
        )
    mounted = [each.in_words for each in engine.program.files_from if each.path == name]
    if mounted:
        return user_error(
            Reason.ENGINE_MISSING,
            f"there is no {mounted[0]} in the job's namespace (spec.labeling.engine.program.filesFrom). Create it.",
        )
    return user_error(
        Reason.ENGINE_MISSING,
        f"the engine's image has no readable file {name} (spec.labeling.engine.program.requires). Correct the path, or "
        "give spec.labeling.image an image that has it.",
    )


def _packages(engine: Engine) -> dict[str, str]:
    package = "tblite" if engine.ase is None else engine.ase.calculator.split(":")[0].split(".")[0]
    distributions = importlib.metadata.packages_distributions().get(package, [])
    versions = {name: importlib.metadata.version(name) for name in sorted(set(distributions))}
    return versions or _source_code(package)


def _source_code(package: str) -> dict[str, str]:
    """Return the sha256 of a module's file, or of a package's: what is no part of a distribution has no version."""
    found = importlib.util.find_spec(package)
    if found is None:
        return {}
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    files = {str(file.relative_to(folder)): file for folder in folders for file in folder.rglob("*.py")}
    if not folders and found.has_location and found.origin is not None:
        files = {Path(found.origin).name: Path(found.origin)}
    code = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    return {f"code:{package}": digest_of(code)} if code else {}
