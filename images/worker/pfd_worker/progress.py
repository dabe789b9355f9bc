"""Progress reports: at most one every few seconds, in the background, and never a reason to fail."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request

from pfd_operator.contract.result import Progress

_INTERVAL_SECONDS = 5.0
_log = logging.getLogger(__name__)


class ProgressReporter:
    """POST the newest report to the operator.

    Parameters
    ----------
    url
        Where to; None only logs.
    token
        The attempt's bearer token.
    """

    def __init__(self, url: str | None, token: str) -> None:
        self._url = url
        self._token = token
        self._newest: Progress | None = None
        self._wake = threading.Event()
        if url:
            threading.Thread(target=self._send_forever, daemon=True, name="progress").start()

    def __call__(self, percent: float, message: str = "") -> None:
        """Note what is done; sent soon, unless something newer comes first."""
        percent = min(100.0, max(0.0, percent))
        self._newest = Progress(percent=round(percent, 1), message=message[:256])
        _log.info("%.0f %% %s", percent, message)
        self._wake.set()

    def _send_forever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            report = self._newest
            if report is not None:
                self._send(report)
            time.sleep(_INTERVAL_SECONDS)

    def _send(self, report: Progress) -> None:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        body = json.dumps(report.to_json()).encode()
        try:
            request = urllib.request.Request(str(self._url), body, headers, method="POST")  # noqa: S310 - our operator
            urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
        except OSError as error:
            _log.debug("progress could not be reported: %s", error)
