"""Podman's libpod API over podman-py's transport, its failures as this project's exceptions.

podman-py gives the transport (unix, ssh, tcp) and nothing else is used of it: its managers drop fields and
turn refusals into ``KeyError`` (see ``podman_specs``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from reconciler.engines import failures
from reconciler.engines.clients import ThreadClients
from reconciler.engines.failures import Refused
from reconciler.engines.streams import RawStream

ENGINE: Final = "Podman"

#: Seconds for calls that only look or write a record; starting and stopping have their own.
CALL_SECONDS: Final = 60.0


class PodmanApi:
    """Requests to one Podman service.

    Args:
        url: ``unix://``, ``tcp://`` or ``ssh://``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: ThreadClients[Any] = ThreadClients(self._make)

    def _make(self) -> Any:
        from podman.api.client import APIClient  # noqa: PLC0415  (late: it takes 100 ms to import)

        return APIClient(base_url=self.url)

    def call(
        self,
        method: str,
        path: str,
        what: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        """One request; the decoded JSON of its answer, None when there is none.

        Args:
            method: of HTTP.
            path: below ``/libpod``.
            what: completes "Podman could not ...".
            params: query.
            body: sent as JSON.
            seconds: to wait for the answer.

        Raises:
            Refused: the service answered with an error status.
            EngineUnavailable: nobody answers.
            EngineError: it took longer than ``seconds``.
        """
        response = self._send(
            self._clients.get(), method, path, what, params=params, body=body, timeout=(10, seconds)
        )
        return response.json() if response.content else None

    def stream(
        self,
        method: str,
        path: str,
        what: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        compatible: bool = False,
    ) -> RawStream:
        """A request whose answer goes on; ``seconds`` without a byte end it, None waits for ever.

        Raises:
            Refused: the service answered with an error status.
            EngineUnavailable: nobody answers.
        """
        client = self._clients.fresh()
        try:
            response = self._send(
                client, method, path, what, params=params, body=body, headers=headers,
                timeout=(10, seconds), stream=True, compatible=compatible,
            )  # fmt: skip
        except BaseException:
            client.close()
            raise
        return RawStream(response, client.close)

    def _send(
        self,
        client: Any,
        method: str,
        path: str,
        what: str,
        *,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        timeout: tuple[float, float | None],
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        compatible: bool = False,
    ) -> Any:
        from podman.errors import APIError  # noqa: PLC0415
        from requests.exceptions import ReadTimeout  # noqa: PLC0415

        request = getattr(client, method.lower())
        arguments: dict[str, Any] = {"params": params, "timeout": timeout, "stream": stream}
        sent = dict(headers or {})
        if body is not None:
            arguments["data"] = json.dumps(body)
            sent["Content-Type"] = "application/json"
        try:
            response = request(path, headers=sent, compatible=compatible, **arguments)
        except APIError as error:
            if isinstance(error.__cause__, ReadTimeout):
                raise failures.timed_out(ENGINE, what) from error
            raise failures.unreachable(ENGINE, self.url, _root_cause(error)) from error
        if response.status_code >= 400:
            raise Refused(ENGINE, what, status=response.status_code, detail=_detail(response))
        return response

    def close(self) -> None:
        """Release connections."""
        self._clients.close()


def _detail(response: Any) -> str:
    try:
        message = response.json()["message"]
    except (ValueError, KeyError, TypeError):
        return str(response.text).strip() or f"status {response.status_code}"
    return str(message)


def _root_cause(error: BaseException) -> str:
    """The innermost reason: the wrappers around it say only that an operation failed."""
    seen: BaseException = error
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen) or type(seen).__name__
