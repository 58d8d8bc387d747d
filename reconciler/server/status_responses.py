"""JSON answers, and errors as Kubernetes words them (``metav1.Status``), for all Starlette applications."""

from __future__ import annotations

from http.client import responses
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

#: Reason and message by code; the reasons are the API server's where it has one.
_STATUSES: Final = {
    400: ("BadRequest", "Bad request"),
    403: ("Forbidden", "Forbidden"),
    404: ("NotFound", "Not found"),
    408: ("Timeout", "Request took too long"),
    413: ("RequestEntityTooLarge", "Payload too large"),
    422: ("Invalid", "Invalid"),
    431: ("RequestHeaderFieldsTooLarge", "Request header fields too large"),
    500: ("InternalError", "Internal error"),
}


class ApiResponse(JSONResponse):
    """JSON that ends with a line feed, as Go's encoder (and so the API server) writes it."""

    def render(self, content: Any) -> bytes:
        """Returns the body."""
        return super().render(content) + b"\n"


def error_response(code: int, message: str = "") -> ApiResponse:
    """Returns the answer to a request that fails; the message is the code's own where none is given."""
    reason, default = _STATUSES.get(code, ("", responses.get(code, "")))
    status = {"status": "Failure", "message": message or default, "reason": reason, "code": code}
    return ApiResponse(status, status_code=code)


def exception_response(error: HTTPException) -> ApiResponse:
    """Returns the answer to a request that ends with this error.

    A known path with another method is not found, like any other that is no endpoint.
    """
    # Starlette's own errors have no message but the phrase of their code.
    message = "" if error.detail == responses.get(error.status_code) else error.detail
    return error_response(404 if error.status_code == 405 else error.status_code, message)


def build_application(*routes: BaseRoute) -> Starlette:
    """Returns an application of these routes whose errors are ``metav1.Status``."""
    handlers = {HTTPException: _handle_http_exception, Exception: _handle_exception}
    application = Starlette(routes=routes, exception_handlers=handlers)
    application.router.redirect_slashes = False
    return application


async def _handle_http_exception(_request: Request, error: Exception) -> ApiResponse:
    return exception_response(cast("HTTPException", error))


async def _handle_exception(_request: Request, _error: Exception) -> ApiResponse:
    return error_response(500)  # Starlette raises the error again, and the connection logs it
