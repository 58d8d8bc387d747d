"""Requests to an engine's HTTP API over its Python client's transport.

The clients (podman-py, docker-py) give the transports (unix, tcp, TLS, ssh) and the version; the calls
themselves are raw, because the clients' wrappers drop or mistranslate fields. Failures become this project's
exceptions here, so that nothing above knows ``requests``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from reconciler.common.liveness import WITHOUT_LIMIT, allow
from reconciler.engines.http import error_mapping
from reconciler.engines.http.client_pool import ThreadClients
from reconciler.engines.http.error_mapping import Refused
from reconciler.engines.http.streams import RawStream
from reconciler.errors import EngineError

#: Seconds for calls that only look or write a record; starting and stopping have their own.
CALL_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 10.0


class HttpApi(ABC):
    """Requests to one engine.

    Attributes:
        engine: what a person calls it.
        url: ``unix://``, ``tcp://`` or ``ssh://``.
    """

    engine: str

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: ThreadClients[Any] = ThreadClients(self._make)

    @abstractmethod
    def _make(self) -> Any:
        """A client of the engine's library, which is a ``requests.Session``."""

    @abstractmethod
    def _address(self, client: Any, path: str, *, compatible: bool) -> str:
        """The URL of an API path."""

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
            path: below the API's version.
            what: completes "Podman could not ...".
            params: query.
            body: sent as JSON.
            seconds: to wait for the answer.

        Raises:
            Refused: the engine answered with an error status.
            EngineUnavailable: nobody answers.
            EngineError: it took longer than ``seconds``.
        """
        response = self._send(
            self._client(), method, path, what, params=params, body=body, headers={}, seconds=seconds
        )
        try:
            return response.json() if response.content.strip() else None
        except ValueError as error:
            raise EngineError(f"{self.engine} could not {what}: its answer is no JSON.") from error

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

        ``compatible``: Podman's version of Docker's call.

        Raises:
            Refused: the engine answered with an error status.
            EngineUnavailable: nobody answers.
        """
        client = self._client(fresh=True)
        try:
            response = self._send(
                client, method, path, what, params=params, body=body, headers=headers or {},
                seconds=seconds, stream=True, compatible=compatible,
            )  # fmt: skip
        except BaseException:
            client.close()
            raise
        return RawStream(response, client.close)

    def _client(self, *, fresh: bool = False) -> Any:
        try:
            return self._clients.fresh() if fresh else self._clients.get()
        except OSError as error:
            raise error_mapping.unreachable(self.engine, self.url, root_cause(error)) from error

    def _send(
        self,
        client: Any,
        method: str,
        path: str,
        what: str,
        *,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        seconds: float | None,
        stream: bool = False,
        compatible: bool = False,
    ) -> Any:
        from requests.exceptions import ReadTimeout  # noqa: PLC0415  (late: 100 ms)

        sent = dict(headers)
        if body is not None:
            sent["Content-Type"] = "application/json"
        limit = WITHOUT_LIMIT if seconds is None else CONNECT_SECONDS + seconds
        try:
            with allow(limit, f"a call of {self.engine} to {what}"):
                response = client.request(
                    method,
                    self._address(client, quote(path, safe="/:@"), compatible=compatible),
                    params=params,
                    data=None if body is None else json.dumps(body),
                    headers=sent,
                    timeout=(CONNECT_SECONDS, seconds),
                    stream=stream,
                )
            # The body of a small answer can break off too.
            text = response.text if response.status_code >= 400 else ""
        except ReadTimeout as error:
            raise error_mapping.timed_out(self.engine, what) from error
        except OSError as error:  # requests' and both clients' exceptions are OSErrors
            raise error_mapping.unreachable(self.engine, self.url, root_cause(error)) from error
        if response.status_code >= 400:
            raise Refused(self.engine, what, status=response.status_code, detail=_detail(text, response))
        return response

    def close(self) -> None:
        """Release connections."""
        self._clients.close()


def _detail(text: str, response: Any) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip() or f"status {response.status_code}"


def root_cause(error: BaseException) -> str:
    """The innermost reason: the wrappers around it say only that an operation failed."""
    seen: BaseException = error
    while (inner := seen.__cause__ or seen.__context__) is not None:
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen) or type(seen).__name__
