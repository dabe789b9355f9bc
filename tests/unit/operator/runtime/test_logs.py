"""Lines of the log."""

from __future__ import annotations

import json
import logging

from pfd_operator.runtime.logs import JsonFormatter, about


def test_log_lines_say_what_they_are_about() -> None:
    record = logging.LogRecord("pfd_operator.x", logging.INFO, "", 1, "started %s", ("train",), None)
    with about(job="lab/silicon"), about(iteration=2, stage="train"):
        line = json.loads(JsonFormatter().format(record))
    assert line["message"] == "started train"
    assert (line["job"], line["iteration"], line["stage"]) == ("lab/silicon", 2, "train")
    assert "job" not in json.loads(JsonFormatter().format(record))
