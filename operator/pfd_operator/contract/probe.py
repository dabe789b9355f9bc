"""What an engine's image really holds: asked inside it, before anything is computed, since names say little.

A pseudopotential of the same name and an engine of the same version may differ between images, and a label is shared by
everybody under a prefix. So its key holds the digests of both.
"""

from __future__ import annotations

from .labeling import Engine

PROBE_FILE = "engine-probe"
"""In the pod's work folder: a line "<digest> <item>" for each item; the digest is `missing` if it is not there."""
MISSING = "missing"

# POSIX sh: it runs in any engine's image. Items: program:NAME (searched on the PATH) and file:PATH (below the folder
# that the variable named by the first argument holds, unless absolute). cksum is POSIX, sha256sum nearly everywhere.
PROBE_SCRIPT = """\
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


def probe_arguments(engine: Engine) -> list[str]:
    """Return the arguments of the probe: the folder's variable, then every item whose content decides labels."""
    if engine.abinit is None:
        return []
    settings = engine.abinit
    # an argument of a launcher (mpirun -np 4 abinit) is a program or it is not: only those found are told apart
    programs = [f"program:{word}" for word in settings.command if not word.startswith("-")]
    files = [f"file:{name}" for name in sorted(set(settings.pseudopotentials.values()))]
    return ["ABI_PSPDIR", *programs, *files]
