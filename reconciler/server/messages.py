"""Requests and answers, as endpoints see them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Head:
    """A request before its body is read.

    Attributes:
        path: decoded, without the query.
        query: as sent.
        headers: names in lower case; of a header sent twice the values are joined by a comma.
        params: what the route's ``{name}`` parts matched.
        peer: the client's address.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""


@dataclass(frozen=True, kw_only=True)
class Request(Head):
    """A whole request."""

    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


def as_json(data: Any, *, status: int = 200) -> Response:
    """An answer in JSON."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return Response(status=status, body=text.encode() + b"\n")


def refusal(code: int, reason: str, message: str) -> Response:
    """An error as Kubernetes words it (``metav1.Status``)."""
    return as_json({"status": "Failure", "message": message, "reason": reason, "code": code}, status=code)


FORBIDDEN = refusal(403, "Forbidden", "Forbidden")
NOT_FOUND = refusal(404, "NotFound", "Not found")
TOO_LARGE = refusal(413, "RequestEntityTooLarge", "Payload too large")
INTERNAL_ERROR = refusal(500, "InternalError", "Internal error")
