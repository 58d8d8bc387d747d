"""Answers progress reports exactly as upstream's server does (``pkg/statusserver``).

Imports Starlette: import this module only where a listener opens.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.controller.nodeservices.progress.progress_reports import ProgressReports
from reconciler.controller.nodeservices.progress.progress_tokens import ProgressTokens
from reconciler.controller.nodeservices.progress.report_payload import InvalidReport, parse_report
from reconciler.names import job_key
from reconciler.plan.progress_reporting import token_audience
from reconciler.server.bearer_tokens import bearer_token
from reconciler.server.status_responses import ApiResponse, build_application, error_response

_log = structlog.get_logger(__name__)


class ProgressHandler:
    """The one route of the progress listeners.

    Args:
        tokens: tell which job a request belongs to.
        reports: takes valid reports.
        uid_of: returns the current uid of the job ``namespace/name``; None where there is no such job.
    """

    def __init__(
        self, *, tokens: ProgressTokens, reports: ProgressReports, uid_of: Callable[[str], str | None]
    ) -> None:
        self._tokens = tokens
        self._reports = reports
        self._uid_of = uid_of
        path = "/apis/" + token_audience("{namespace}", "{name}")
        self.app = build_application(Route(path, self._handle, methods=["POST"]))

    async def _handle(self, request: Request) -> Response:
        if self._token_uid(request) is None:
            return error_response(403)  # before the body is read
        return await run_in_threadpool(self._handle_report, request, await request.body())

    def _token_uid(self, request: Request) -> str | None:
        token, path = bearer_token(request.headers), request.path_params
        return self._tokens.uid(token, namespace=path["namespace"], job=path["name"])

    def _handle_report(self, request: Request, body: bytes) -> Response:
        key = job_key(request.path_params["namespace"], request.path_params["name"])
        token_uid, job_uid = self._token_uid(request), self._uid_of(key)
        if job_uid is not None and token_uid != job_uid:
            # The token is of a deleted job of this name, or expired while the body was read.
            return error_response(403)
        try:
            status = parse_report(body)
        except InvalidReport as error:
            return error_response(422, error.message)
        if status is None:
            return ApiResponse({})
        if job_uid is None:
            return error_response(404, "Train job not found")
        self._reports.put(key, uid=job_uid, status=status)
        _log.debug("progress reported", job=key, percent=status.get("progressPercentage"))
        return ApiResponse({"trainerStatus": status})
