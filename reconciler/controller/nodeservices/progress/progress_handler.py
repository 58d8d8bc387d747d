"""Answers reports, to the letter of upstream's server (``pkg/statusserver``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from reconciler.controller.nodeservices.progress.progress_reports import Inbox
from reconciler.controller.nodeservices.progress.progress_tokens import Tokens
from reconciler.controller.nodeservices.progress.report_payload import InvalidReport, parse
from reconciler.names import job_key
from reconciler.plan.progress_reporting import audience
from reconciler.server.bearer_tokens import bearer
from reconciler.server.messages import FORBIDDEN, Head, Request, Response, as_json, refusal
from reconciler.server.routing import Route, Routes

JOB_NOT_FOUND: Final = refusal(404, "NotFound", "Train job not found")

_log = structlog.get_logger(__name__)


class Desk:
    """See the module.

    Args:
        tokens: tell whose a report is.
        inbox: takes what is in order.
        uid_of: of the job ``namespace/name`` as it is now; None where there is none.
    """

    def __init__(self, *, tokens: Tokens, inbox: Inbox, uid_of: Callable[[str], str | None]) -> None:
        self._tokens = tokens
        self._inbox = inbox
        self._uid_of = uid_of
        path = "/apis/" + audience("{namespace}", "{name}")
        self.routes = Routes(Route("POST", path, self._take, admit=self._admit))

    def _admit(self, head: Head) -> Response | None:
        """Before the body: whose token it is."""
        return None if self._uid(head) is not None else FORBIDDEN

    def _uid(self, head: Head) -> str | None:
        namespace, name = head.params["namespace"], head.params["name"]
        return self._tokens.uid(bearer(head), namespace=namespace, job=name)

    def _take(self, request: Request) -> Response:
        key = job_key(request.params["namespace"], request.params["name"])
        uid, known = self._uid(request), self._uid_of(key)
        if known is not None and uid != known:
            return FORBIDDEN  # of an earlier life of the job, or run out while the body came
        try:
            status = parse(request.body)
        except InvalidReport as error:
            return refusal(422, "Invalid", error.message)
        if status is None:
            return as_json({})
        if known is None:
            return JOB_NOT_FOUND
        self._inbox.put(key, uid=known, status=status)
        _log.debug("progress", job=key, percent=status.get("progressPercentage"))
        echoed: dict[str, Any] = {"trainerStatus": status}
        return as_json(echoed)
