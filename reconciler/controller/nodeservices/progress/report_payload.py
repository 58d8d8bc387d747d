"""The body of a report: upstream's ``UpdateTrainJobStatusRequest``, parsed as upstream parses it. Pure.

Upstream decodes with Go's types first (a string for a number, or a fraction, makes the whole payload invalid)
and has the API server check the ranges of the CRD afterwards. Both ignore unknown fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.errors import ReconcilerError

INVALID_PAYLOAD: Final = "Invalid payload"
MAX_METRICS: Final = 256
MAX_TEXT_LENGTH: Final = 64
_INT32: Final = 2**31
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class InvalidReport(ReconcilerError):  # noqa: N818  (the message is the answer to the client)
    """The body is not a valid report; the message is upstream's."""


def parse_report(body: bytes) -> dict[str, Any] | None:
    """Returns the ``trainerStatus`` of a report, as the record keeps it; None where the body has none.

    Raises:
        InvalidReport: the body is not a valid report.
    """
    request = _decode(body)
    if request is None:
        return None
    if not isinstance(request, dict):
        raise InvalidReport(INVALID_PAYLOAD)
    raw = request.get("trainerStatus")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise InvalidReport(INVALID_PAYLOAD)
    status = _decode_status(raw)
    _check_ranges(status)
    return status


def _decode(body: bytes) -> Any:
    def reject(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return json.loads(body.decode("utf-8", errors="replace"), parse_constant=reject)
    except (ValueError, RecursionError) as error:
        raise InvalidReport(INVALID_PAYLOAD) from error


def _decode_status(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Decodes what Go's types accept, in upstream's order; absent and null are the same."""
    status: dict[str, Any] = {}
    for name in ("progressPercentage", "estimatedRemainingSeconds"):
        if (number := raw.get(name)) is not None:
            if type(number) is not int or not -_INT32 <= number < _INT32:
                raise InvalidReport(INVALID_PAYLOAD)
            status[name] = number
    if metrics := raw.get("metrics"):
        status["metrics"] = _decode_metrics(metrics)
    elif metrics is not None and metrics != []:
        raise InvalidReport(INVALID_PAYLOAD)
    if (at := raw.get("lastUpdatedTime")) is not None:
        status["lastUpdatedTime"] = _decode_time(at)
    return status


def _decode_metrics(raw: Any) -> list[dict[str, str]]:
    if not isinstance(raw, list):
        raise InvalidReport(INVALID_PAYLOAD)
    metrics = []
    for item in raw:
        fields = {} if item is None else item
        if not isinstance(fields, dict):
            raise InvalidReport(INVALID_PAYLOAD)
        metrics.append({name: _decode_text(fields.get(name)) for name in ("name", "value")})
    return metrics


def _decode_text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidReport(INVALID_PAYLOAD)
    return value or ""


def _decode_time(text: Any) -> str:
    """Returns an RFC 3339 time in UTC, to the second, as Kubernetes stores it."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise InvalidReport(INVALID_PAYLOAD)
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError) as error:
        raise InvalidReport(INVALID_PAYLOAD) from error


def _check_ranges(status: Mapping[str, Any]) -> None:
    """Checks what the CRD allows.

    Raises:
        InvalidReport: naming the field, as the API server does.
    """
    path = "status.trainerStatus"
    percent, left = status.get("progressPercentage"), status.get("estimatedRemainingSeconds")
    if percent is not None and percent < 0:
        raise _invalid(f"{path}.progressPercentage", percent, "should be greater than or equal to 0")
    if percent is not None and percent > 100:
        raise _invalid(f"{path}.progressPercentage", percent, "should be less than or equal to 100")
    if left is not None and left < 0:
        raise _invalid(f"{path}.estimatedRemainingSeconds", left, "should be greater than or equal to 0")
    metrics = status.get("metrics", [])
    if len(metrics) > MAX_METRICS:
        message = f"{path}.metrics: Too many: {len(metrics)}: must have at most {MAX_METRICS} items"
        raise InvalidReport(message)
    for number, metric in enumerate(metrics):
        for name, text in metric.items():
            field = f"{path}.metrics[{number}].{name}"
            if not text:
                raise _invalid(field, text, "should be at least 1 chars long")
            if len(text) > MAX_TEXT_LENGTH:
                raise InvalidReport(f"{field}: Too long: may not be more than {MAX_TEXT_LENGTH} bytes")
    if "lastUpdatedTime" not in status:
        raise InvalidReport(
            f"{path}: Invalid value: lastUpdatedTime is required when trainerStatus is present"
        )


def _invalid(path: str, value: object, reason: str) -> InvalidReport:
    shown = json.dumps(value, ensure_ascii=False)[:80]
    return InvalidReport(f"{path}: Invalid value: {shown}: {path} in body {reason}")
