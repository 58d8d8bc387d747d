"""Requests to an engine's HTTP API over its Python client's transport.

The clients (podman-py, docker-py) give the transports (unix, tcp, TLS, ssh) and the version; the calls
themselves are raw, because the clients' wrappers drop or mistranslate fields. Failures become this project's
exceptions here, so that nothing above knows ``requests``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, TypeVar, overload
from urllib.parse import quote

from reconciler.common.liveness import NO_LIMIT, SLOW_AFTER, allow_time
from reconciler.common.os_errors import is_out_of_descriptors
from reconciler.common.unicode_text import decode_json
from reconciler.engines.http import error_mapping
from reconciler.engines.http.calls.answer_shapes import Shape, WrongAnswer
from reconciler.engines.http.calls.call_deadlines import within
from reconciler.engines.http.client_pool import ClientPool, PooledClient
from reconciler.engines.http.error_mapping import ApiError
from reconciler.engines.http.response_streams import RawStream
from reconciler.errors import EngineUnavailable

#: Seconds for calls that only read or write the engine's records, head and body; creating, starting,
#: stopping and removing have their own. An older Podman lists nothing while it stops a container.
CALL_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 10.0
#: Bytes of an answer: a listing has some 3 KB a container.
LARGEST_BODY: Final = 128 << 20
#: The status for "it runs already", "it is stopped already".
NOT_MODIFIED: Final = 304

_READ: Final = 1 << 16
#: Characters of an engine's message.
_LONGEST_DETAIL: Final = 4000

T = TypeVar("T")


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

    @overload
    def call(
        self,
        method: str,
        path: str,
        action: str,
        *,
        expect: Shape[T],
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> T: ...

    @overload
    def call(
        self,
        method: str,
        path: str,
        action: str,
        *,
        expect: None = None,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
        slow_after: float = SLOW_AFTER,
    ) -> None: ...

    def call(
        self,
        method: str,
        path: str,
        action: str,
        *,
        expect: Shape[Any] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
        slow_after: float = SLOW_AFTER,
    ) -> Any:
        """Sends one request; returns the decoded JSON of its response, None where none is expected.

        Args:
            method: of HTTP.
            path: below the API's version.
            action: completes "Podman could not ...".
            expect: the shape of the response; None: it is of no interest.
            params: of the query.
            body: sent as JSON.
            seconds: until head and body of the response must be there; the connection is given up then.
            slow_after: seconds after which the call is reported as slow.

        Raises:
            ApiError: the engine answered with an error status.
            WrongAnswer: the response has another shape.
            EngineUnavailable: no engine answers.
            EngineError: it took longer than ``seconds``.
        """
        client = self._client()
        step = f"a call of {self.engine} to {action}"
        with (
            allow_time(CONNECT_SECONDS + seconds, step, slow_after=slow_after),
            within(seconds, client.connections) as deadline,
        ):
            failure: OSError | None = None
            try:
                response = self._request(client, method, path, params=params, json=body, seconds=seconds)
                content = _read_body(response)
            except OSError as error:  # requests' and both clients' exceptions are OSErrors
                failure = error
        if deadline.passed or _is_timeout(failure):
            # What may still come must not be taken for the answer of the next call.
            self._clients.discard()
            raise error_mapping.timed_out(self.engine, action, seconds) from failure
        if failure is not None:
            raise self._unavailable(failure) from failure
        if content is None:
            self._clients.discard()
            problem = f"it is larger than {LARGEST_BODY >> 20} MiB"
            raise WrongAnswer(self.engine, action, problem)
        self._raise_for_status(response, content, action)
        return expect.read(content, engine=self.engine, action=action) if expect is not None else None

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
        limit = NO_LIMIT if seconds is None else CONNECT_SECONDS + seconds
        try:
            with allow_time(limit, f"a call of {self.engine} to {action}"):
                response = self._request(
                    client, method, path, params=params, json=body, headers=headers, seconds=seconds,
                    compatible=compatible,
                )  # fmt: skip
                if response.status_code >= 300:
                    # The body of a small response can break off, or drip, too.
                    with within(CALL_SECONDS, client.connections):
                        self._raise_for_status(response, _read_body(response) or b"", action)
        except OSError as error:
            client.session.close()
            if _is_timeout(error):
                raise error_mapping.timed_out(self.engine, action, seconds or 0.0) from error
            raise self._unavailable(error) from error
        except BaseException:
            client.session.close()
            raise
        return RawStream(response, client.session.close)

    def _client(self, *, new: bool = False) -> PooledClient:
        try:
            return self._clients.create() if new else self._clients.get()
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: OSError) -> EngineUnavailable:
        """Returns the exception for a request that could not be made or answered."""
        if is_out_of_descriptors(error):
            # Connections that other threads keep open for their next request are what can be missed.
            self._clients.close()
            return error_mapping.out_of_descriptors(self.engine)
        return error_mapping.unavailable(self.engine, self.url, root_cause(error))

    def _request(
        self,
        client: PooledClient,
        method: str,
        path: str,
        *,
        seconds: float | None,
        compatible: bool = False,
        **sent: Any,
    ) -> Any:
        """Returns a response whose head has come."""
        return client.session.request(
            method,
            self._url_of(client.session, quote(path, safe="/:@"), compatible=compatible),
            timeout=(CONNECT_SECONDS, seconds),
            stream=True,
            # An engine has no reason to send anybody elsewhere.
            allow_redirects=False,
            **sent,
        )

    def _raise_for_status(self, response: Any, content: bytes, action: str) -> None:
        status = response.status_code
        if status >= 400 or (status >= 300 and status != NOT_MODIFIED):
            raise ApiError(self.engine, action, status=status, detail=_detail(content, status))

    def close(self) -> None:
        """Closes all connections."""
        self._clients.close()


def _read_body(response: Any) -> bytes | None:
    """Returns the body; None for one that is larger than any answer."""
    parts, size = [], 0
    for part in response.iter_content(_READ):
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            response.close()
            return None
    return b"".join(parts)


def _detail(content: bytes, status: int) -> str:
    """Returns the engine's message of an error."""
    text = content.decode(errors="replace")
    try:
        found = decode_json(text)
    except ValueError:
        found = None
    message = found.get("message") if isinstance(found, dict) else None
    shown = message if isinstance(message, str) and message.strip() else text
    return shown.strip()[:_LONGEST_DETAIL] or f"status {status}"


def _is_timeout(error: OSError | None) -> bool:
    if error is None:
        return False
    from requests import exceptions  # noqa: PLC0415  (late: 100 ms)

    if isinstance(error, exceptions.ReadTimeout):
        return True
    # A body that stops is reported as a connection that broke.
    return isinstance(error, exceptions.ConnectionError) and "Read timed out" in str(error)


def root_cause(error: BaseException) -> str:
    """Returns the innermost reason: the wrappers around it say only that an operation failed."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
