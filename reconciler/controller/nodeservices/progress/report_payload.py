"""The body of a report: upstream's ``UpdateTrainJobStatusRequest``, parsed as upstream parses it. Pure.

Upstream decodes with Go's types first (a string for a number, or a fraction, makes the whole payload invalid)
and has the API server check the ranges of the CRD afterwards. Both ignore unknown fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reconciler.common.unicode_text import is_unicode
from reconciler.errors import ReconcilerError

INVALID_PAYLOAD: Final = "Invalid payload"
MAX_METRICS: Final = 256
MAX_TEXT_LENGTH: Final = 64
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class InvalidReport(ReconcilerError):  # noqa: N818  (the message is the answer to the client)
    """The body is not a valid report; the message is upstream's."""


def _normalize_time(text: str) -> str:
    """Returns an RFC 3339 time in UTC, to the second, as Kubernetes stores it."""
    if not _RFC3339.fullmatch(text):
        raise ValueError("no RFC 3339 time")
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError as error:
        raise ValueError("out of range") from error


_Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]


def _require_unicode(text: str) -> str:
    r"""Refuses an escape such as ``\ud800``, which no record can keep."""
    if not is_unicode(text):
        raise ValueError("no Unicode text")
    return text


_Text = Annotated[
    str, BeforeValidator(lambda value: "" if value is None else value), AfterValidator(_require_unicode)
]
_Time = Annotated[str, AfterValidator(_normalize_time)]


class _Payload(BaseModel):
    """What Go's types accept; absent and null are the same."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel)


class _Metric(_Payload):
    name: _Text = ""
    value: _Text = ""


_ListedMetric = Annotated[_Metric, BeforeValidator(lambda value: {} if value is None else value)]


class _TrainerStatus(_Payload):
    progress_percentage: _Int32 | None = None
    estimated_remaining_seconds: _Int32 | None = None
    metrics: list[_ListedMetric] | None = None
    last_updated_time: _Time | None = None


class _Request(_Payload):
    trainer_status: _TrainerStatus | None = None


def parse_report(body: bytes) -> dict[str, Any] | None:
    """Returns the ``trainerStatus`` of a report, as the record keeps it; None where the body has none.

    Raises:
        InvalidReport: the body is not a valid report.
    """
    try:
        data = json.loads(body.decode("utf-8", errors="replace"), parse_constant=_reject_constant)
        request = _Request.model_validate(data) if data is not None else _Request()
    except (ValueError, RecursionError) as error:
        raise InvalidReport(INVALID_PAYLOAD) from error
    if request.trainer_status is None:
        return None
    status = request.trainer_status.model_dump(by_alias=True, exclude_none=True)
    if not request.trainer_status.metrics:
        status.pop("metrics", None)
    _check_ranges(status)
    return status


def _reject_constant(constant: str) -> Any:
    """Refuses NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


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
