"""Run the operator: `python -m pfd_operator`."""

from __future__ import annotations

import asyncio
import gc
import sys

from pfd_operator.kube.api import ApiError
from pfd_operator.runtime.handlers import run
from pfd_operator.runtime.logs import configure
from pfd_operator.runtime.settings import SettingsError, settings_from


def main() -> int:
    """Run until a signal; return the exit status."""
    try:
        settings = settings_from()
    except SettingsError as error:
        sys.stderr.write(f"pfd-operator: {error}\n")
        return 2
    configure(settings.log_level)
    _collect_less()
    try:
        return 0 if asyncio.run(run(settings)) else 1
    except ApiError as error:
        sys.stderr.write(f"pfd-operator: {error}\n")
        return 1


def _collect_less() -> None:
    # modules stay; and a full collection goes through all that the caches hold, of which nothing is ever in a cycle
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


if __name__ == "__main__":
    sys.exit(main())
