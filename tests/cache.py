"""Where make keeps the programs that it builds."""

import os
from pathlib import Path

PROGRAMS = Path(os.environ.get("PFD_CACHE", Path.home() / ".cache/pfd-operator")) / "bin"
