"""What an engine's image really holds: asked inside it, before anything is computed, since names say little.

A pseudopotential of the same name and an engine of the same version may differ between images, and a label is shared by
everybody under a prefix. So its key holds the digests of both, and of files out of ConfigMaps and Secrets.
"""

from __future__ import annotations

from .engine import Engine
from .program import LIVE_FILES_DIRECTORY, MOUNTED_FILES_DIRECTORY

PROBE_FILE = "engine-probe"
"""In the folder that the engine shares with the workers: a line "<digest> <item>" for each item; the digest is
`missing` if it is not there."""
MISSING = "missing"

# POSIX sh: it runs in any engine's image. Items: program:NAME (searched on the PATH) and file:PATH (below the folder
# that the variable named by the first argument holds, unless absolute). cksum is POSIX, sha256sum nearly everywhere.
# What is digested is what is used: of files that may change while calculations run, both are of a copy.
_COPY_FILES = f"[ ! -d {LIVE_FILES_DIRECTORY} ] || cp {LIVE_FILES_DIRECTORY}/* {MOUNTED_FILES_DIRECTORY}/\n"
_DIGEST_ITEMS = """\
folder=$(eval "echo \\"\\${$1:-.}\\"")
shift
for item in "$@"; do
  name=${item#*:}
  case $item in
    program:*) path=$(command -v "$name" 2>/dev/null || echo /nonexistent) ;;
    file:/*) path=$name ;;
    *) path=$folder/$name ;;
  esac
  if [ ! -r "$path" ]; then digest=missing
  elif command -v sha256sum >/dev/null 2>&1; then digest=$(sha256sum <"$path" | cut -d ' ' -f 1)
  else digest=$(cksum <"$path" | tr ' ' '-')
  fi
  echo "$digest $item"
done >engine-probe.part && mv engine-probe.part engine-probe
"""
PROBE_SCRIPT = _COPY_FILES + _DIGEST_ITEMS


def probe_arguments(engine: Engine) -> list[str]:
    """Return the arguments of the probe: the folder's variable, then every item whose content decides labels."""
    # an argument of a launcher (mpirun -np 4 abinit) is a program or it is not: only those found are told apart
    if engine.abinit is not None:
        folder, words = "ABI_PSPDIR", _words(engine.abinit.command)
    elif engine.program is not None:
        settings = engine.program
        # its files have absolute paths; what the user gives is no part of the image
        folder, words = "PWD", [word for word in _words(settings.command) if word not in settings.files]
    else:
        return []
    return [folder, *dict.fromkeys([*map(_program, words), *needed_items(engine)])]


def needed_items(engine: Engine) -> list[str]:
    """Return the items without which nothing can be computed."""
    if engine.abinit is not None:
        return [_program(engine.abinit.command[0]), *map(_file, sorted(set(engine.abinit.pseudopotentials.values())))]
    if engine.program is not None:
        settings = engine.program
        required = [_file(item) if item.startswith("/") else _program(item) for item in settings.requires]
        return [_program(settings.command[0]), *required, *(_file(each.path) for each in settings.files_from)]
    return []


def _words(command: list[str]) -> list[str]:
    return [word for word in command if not word.startswith("-")]


def _program(name: str) -> str:
    return f"program:{name}"


def _file(path: str) -> str:
    return f"file:{path}"
