"""``update_trainjob_status()``: upstream's function by which a training reports its progress.

Called inside the training function, where the image has this package (or the nodes are processes of this
machine); elsewhere ``kubeflow.trainer`` has the same function. It never raises: a training must not fail
because its report does. Outside a job, or within five seconds of the last report, it does nothing.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from reconciler.common.regular_files import read_regular_text
from reconciler.plan.progress_reporting import CA_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE

#: Seconds between two reports.
REPORT_INTERVAL: Final = 5.0
#: Seconds for the server to answer.
REQUEST_TIMEOUT: Final = 5.0
#: Further metrics are left out, as upstream's function does.
MAX_METRICS: Final = 256

_log = logging.getLogger(__name__)
_lock = threading.Lock()
#: Time of the last report, if any.
_last_report: list[float] = []


def update_trainjob_status(
    progress_percent: int | None = None,
    estimated_remaining_seconds: int | None = None,
    metrics: dict[str, float | int | str] | None = None,
) -> bool:
    """Reports progress; returns whether it was sent.

    Args:
        progress_percent: 0 to 100.
        estimated_remaining_seconds: until the end.
        metrics: by name; 256 are sent at most.
    """
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return False
    with _lock:
        if _last_report and time.monotonic() - _last_report[0] < REPORT_INTERVAL:
            return False
        try:
            _send(url, _status(progress_percent, estimated_remaining_seconds, metrics or {}))
        except Exception as error:  # noqa: BLE001  (whatever it is, the training goes on)
            _log.warning("the progress could not be reported: %s", error)
            return False
        _last_report[:] = [time.monotonic()]
        return True


def _status(percent: int | None, remaining: int | None, metrics: Mapping[str, Any]) -> dict[str, Any]:
    status: dict[str, Any] = {"lastUpdatedTime": datetime.now(tz=UTC).isoformat()}
    if percent is not None:
        status["progressPercentage"] = max(0, min(100, percent))
    if remaining is not None:
        status["estimatedRemainingSeconds"] = max(0, remaining)
    if metrics:
        chosen = islice(metrics.items(), MAX_METRICS)
        status["metrics"] = [{"name": str(name), "value": str(value)} for name, value in chosen]
    return status


def _send(url: str, status: Mapping[str, Any]) -> None:
    # Read each time: the daemon renews the token in its file.
    token = read_regular_text(os.environ[TOKEN_VARIABLE]).strip()
    context = ssl.create_default_context(cafile=os.environ.get(CA_VARIABLE))
    request = urllib.request.Request(  # noqa: S310  (the daemon's own address)
        url,
        data=json.dumps({"trainerStatus": status}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="POST",
    )
    # Straight to the daemon: a proxy of the training's environment is for other hosts.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    opener.open(request, timeout=REQUEST_TIMEOUT).close()
