"""Logs: one JSON object a line on stderr, each with the job, iteration, stage and index it belongs to, and no keys."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

from pfd_operator.contract.s3_keys import without_keys


class _JsonLines(logging.Formatter):
    def __init__(self, context: dict[str, Any]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = {"time": stamp, "level": record.levelname, **self._context}
        # before json.dumps, which writes some characters otherwise
        line["message"] = without_keys(record.getMessage(), os.environ)
        if record.exc_info:
            line["traceback"] = without_keys(self.formatException(record.exc_info), os.environ)
        return json.dumps(line, ensure_ascii=False)


def configure(**context: Any) -> None:
    """Send all logging to stderr, with this context in every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(context))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
