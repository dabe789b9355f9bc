"""Logs: one JSON object a line on stderr, each with the job, iteration, stage and index it belongs to."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any


class _JsonLines(logging.Formatter):
    def __init__(self, context: dict[str, Any]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = {"time": stamp, "level": record.levelname, **self._context, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(**context: Any) -> None:
    """Send all logging to stderr, with this context in every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(context))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
