"""python -m tests.chaos.stepped_clock FILE: the operator, on a wall clock that is as many seconds off as FILE says."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from pfd_operator.__main__ import main

OFFSET_FILE = Path(sys.argv.pop(1))


class SteppedDatetime(datetime):
    """The time of the node."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Return it."""
        return datetime.now(tz) + timedelta(seconds=float(OFFSET_FILE.read_text()))


for name, module in list(sys.modules.items()):
    if name.startswith("pfd_operator.") and getattr(module, "datetime", None) is datetime:
        module.datetime = SteppedDatetime  # type: ignore[attr-defined]

if __name__ == "__main__":
    sys.exit(main())
