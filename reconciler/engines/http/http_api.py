"""Requests to an engine's HTTP API over its Python client's transport.

The clients (podman-py, docker-py) give the transports (unix, tcp, TLS, ssh) and the version; the calls
themselves are raw, because the clients' wrappers drop or mistranslate fields. Failures become this project's
exceptions here, so that nothing above knows ``requests``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler.common.liveness import NO_LIMIT, allow_time
from reconciler.common.unicode_text import decode_json
from reconciler.engines.http import error_mapping
from reconciler.engines.http.client_pool import ClientPool
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.response_streams import RawStream
from reconciler.errors import EngineError

#: Seconds for calls that only read or write the engine's records; starting and stopping have their own.
CALL_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 10.0


class HttpApi(ABC):
    """Requests to one engine.

    Attributes:
        engine: name for messages.
        url: ``unix://``, ``tcp://`` or ``ssh://``.
    """

    engine: str

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients = ClientPool(self._create_client)

    @abstractmethod
    def _create_client(self) -> Any:
        """Returns a new client of the engine's library, which is a ``requests.Session``."""

    @abstractmethod
    def _url_of(self, client: Any, path: str, *, compatible: bool) -> str:
        """Returns the URL of an API path."""

    def call(
        self,
        method: str,
        path: str,
        action: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        """Sends one request; returns the decoded JSON of its response, None for an empty one.

        Args:
            method: of HTTP.
            path: below the API's version.
            action: completes "Podman could not ...".
            params: of the query.
            body: sent as JSON.
            seconds: to wait for the response.

        Raises:
            ApiError: the engine answered with an error status.
            EngineUnavailable: no engine answers.
            EngineError: it took longer than ``seconds``.
        """
        response = self._send(self._client(), method, path, action, params=params, body=body, seconds=seconds)
        try:
            return decode_json(response.content) if response.content.strip() else None
        except ValueError as error:
            raise EngineError(f"{self.engine} could not {action}: its response is no JSON.") from error

    def stream(
        self,
        method: str,
        path: str,
        action: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
        compatible: bool = False,
    ) -> RawStream:
        """Sends a request whose response goes on; ``seconds`` without a byte end it, None waits for ever.

        ``compatible``: Podman's version of Docker's call.

        Raises:
            ApiError: the engine answered with an error status.
            EngineUnavailable: no engine answers.
        """
        client = self._client(new=True)
        try:
            response = self._send(
                client, method, path, action, params=params, body=body, headers=headers,
                seconds=seconds, stream=True, compatible=compatible,
            )  # fmt: skip
        except BaseException:
            client.close()
            raise
        return RawStream(response, client.close)

    def _client(self, *, new: bool = False) -> Any:
        try:
            return self._clients.create() if new else self._clients.get()
        except OSError as error:
            raise error_mapping.unavailable(self.engine, self.url, root_cause(error)) from error

    def _send(
        self,
        client: Any,
        method: str,
        path: str,
        action: str,
        *,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        seconds: float | None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        compatible: bool = False,
    ) -> Any:
        from requests.exceptions import ReadTimeout  # noqa: PLC0415  (late: 100 ms)

        limit = NO_LIMIT if seconds is None else CONNECT_SECONDS + seconds
        try:
            with allow_time(limit, f"a call of {self.engine} to {action}"):
                response = client.request(
                    method,
                    self._url_of(client, quote(path, safe="/:@"), compatible=compatible),
                    params=params,
                    json=body,
                    headers=headers,
                    timeout=(CONNECT_SECONDS, seconds),
                    stream=stream,
                )
            # The body of a small response can break off too.
            text = response.text if response.status_code >= 400 else ""
        except ReadTimeout as error:
            raise error_mapping.timed_out(self.engine, action) from error
        except OSError as error:  # requests' and both clients' exceptions are OSErrors
            raise error_mapping.unavailable(self.engine, self.url, root_cause(error)) from error
        if response.status_code >= 400:
            raise ApiError(self.engine, action, status=response.status_code, detail=_detail(text, response))
        return response

    def close(self) -> None:
        """Closes all connections."""
        self._clients.close()


def _detail(text: str, response: Any) -> str:
    try:
        return str(decode_json(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or f"status {response.status_code}"


def root_cause(error: BaseException) -> str:
    """Returns the innermost reason: the wrappers around it say only that an operation failed."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
