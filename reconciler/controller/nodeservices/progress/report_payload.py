"""What a report says: upstream's ``UpdateTrainJobStatusRequest``, read as upstream reads it. Pure.

Upstream decodes with Go's types first (a text for a number, or half a number, is no payload at all) and has
the API server check the ranges of the CRD afterwards. Unknown fields are ignored by both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.errors import ReconcilerError

INVALID_PAYLOAD: Final = "Invalid payload"
MOST_METRICS: Final = 256
LONGEST_TEXT: Final = 64
_INT32: Final = 2**31
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class InvalidReport(ReconcilerError):  # noqa: N818  (the message is the answer to the client)
    """The body is no report; the message is upstream's."""


@dataclass(frozen=True)
class _Path:
    """Where a value stands, for messages."""

    text: str

    def at(self, name: str | int) -> _Path:
        return _Path(f"{self.text}[{name}]" if isinstance(name, int) else f"{self.text}.{name}")

    def refused(self, value: object, why: str) -> InvalidReport:
        shown = json.dumps(value, ensure_ascii=False)[:80]
        return InvalidReport(f"{self.text}: Invalid value: {shown}: {self.text} in body {why}")


def parse(body: bytes) -> dict[str, Any] | None:
    """The ``trainerStatus`` of a report, as it is kept; None where there is none.

    Raises:
        InvalidReport: the body is none.
    """
    whole = _decoded(body)
    if whole is None:
        return None
    if not isinstance(whole, dict):
        raise InvalidReport(INVALID_PAYLOAD)
    raw = whole.get("trainerStatus")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise InvalidReport(INVALID_PAYLOAD)
    return _checked(_typed(raw))


def _decoded(body: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return json.loads(body.decode("utf-8", errors="replace"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidReport(INVALID_PAYLOAD) from error


def _typed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What Go's types take, in upstream's order; absent and null are the same."""
    status: dict[str, Any] = {}
    for name in ("progressPercentage", "estimatedRemainingSeconds"):
        if (number := raw.get(name)) is not None:
            if type(number) is not int or not -_INT32 <= number < _INT32:
                raise InvalidReport(INVALID_PAYLOAD)
            status[name] = number
    if metrics := raw.get("metrics"):
        status["metrics"] = _metrics(metrics)
    elif metrics is not None and metrics != []:
        raise InvalidReport(INVALID_PAYLOAD)
    if (at := raw.get("lastUpdatedTime")) is not None:
        status["lastUpdatedTime"] = _time(at)
    return status


def _metrics(raw: Any) -> list[dict[str, str]]:
    if not isinstance(raw, list):
        raise InvalidReport(INVALID_PAYLOAD)
    metrics = []
    for item in raw:
        fields = {} if item is None else item
        if not isinstance(fields, dict):
            raise InvalidReport(INVALID_PAYLOAD)
        metrics.append({name: _text(fields.get(name)) for name in ("name", "value")})
    return metrics


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidReport(INVALID_PAYLOAD)
    return value or ""


def _time(text: Any) -> str:
    """An RFC 3339 time in UTC, to the second: what Kubernetes keeps of it."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        raise InvalidReport(INVALID_PAYLOAD)
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError) as error:
        raise InvalidReport(INVALID_PAYLOAD) from error


def _checked(status: dict[str, Any]) -> dict[str, Any]:
    """What the CRD allows.

    Raises:
        InvalidReport: naming the field, as the API server does.
    """
    path = _Path("status.trainerStatus")
    percent, left = status.get("progressPercentage"), status.get("estimatedRemainingSeconds")
    if percent is not None and percent < 0:
        raise path.at("progressPercentage").refused(percent, "should be greater than or equal to 0")
    if percent is not None and percent > 100:
        raise path.at("progressPercentage").refused(percent, "should be less than or equal to 100")
    if left is not None and left < 0:
        raise path.at("estimatedRemainingSeconds").refused(left, "should be greater than or equal to 0")
    metrics = status.get("metrics", [])
    if len(metrics) > MOST_METRICS:
        message = (
            f"{path.at('metrics').text}: Too many: {len(metrics)}: must have at most {MOST_METRICS} items"
        )
        raise InvalidReport(message)
    for number, metric in enumerate(metrics):
        for name, text in metric.items():
            place = path.at("metrics").at(number).at(name)
            if not text:
                raise place.refused(text, "should be at least 1 chars long")
            if len(text) > LONGEST_TEXT:
                raise InvalidReport(f"{place.text}: Too long: may not be more than {LONGEST_TEXT} bytes")
    if "lastUpdatedTime" not in status:
        raise InvalidReport(
            f"{path.text}: Invalid value: lastUpdatedTime is required when trainerStatus is present"
        )
    return status
