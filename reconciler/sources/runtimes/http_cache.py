"""Gets a URL, or what it had yesterday: files over HTTP with a cache that outlives the process.

A runtime changes rarely and is needed at every start, also without a network. So what was fetched is good for
24 hours without asking; then the server is asked whether it has changed (ETag, Last-Modified); and when it
does not answer, what is in the cache is used however old it is, and that is said.

What can go wrong: a server that sends without end (size and time are limited), a host that does not answer
(it is tried once in a round, not once for each of its files), a cache that cannot be written (then there is
none).
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from reconciler.errors import ReconcilerError, StateError
from reconciler.state.atomic_files import read_if_exists, write_atomically

if TYPE_CHECKING:
    import requests

FRESH_FOR: Final = 24 * 3600.0
MAX_BYTES: Final = 8 * 1024 * 1024
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
TOTAL_SECONDS: Final = 60.0
_BLOCK: Final = 64 * 1024

_log = structlog.get_logger(__name__)


class FetchError(ReconcilerError):
    """A URL cannot be had; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a URL has.

    Attributes:
        fetched_at: seconds since the epoch when the server last confirmed it.
        stale: why it is older than it should be; "" when it is not.
    """

    url: str
    body: bytes
    fetched_at: float
    etag: str = ""
    modified: str = ""
    stale: str = ""


class Fetcher:
    """Fetches through a cache; one round of fetching, from one thread.

    Args:
        cache: folder; None for no cache.
        clock: seconds since the epoch.
        headers: for a host (``host:port``), sent to it and to no other.
        offline: take what is in the cache, however old, and ask no server.
    """

    def __init__(
        self,
        cache: Path | None,
        *,
        clock: Callable[[], float],
        headers: Mapping[str, Mapping[str, str]] | None = None,
        offline: bool = False,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._headers = headers or {}
        self._offline = offline
        self._silent: dict[str, str] = {}

    def get(self, url: str) -> Fetched:
        """What the URL has, from the cache where that is fresh.

        Raises:
            FetchError: there is nothing in the cache, and the server does not answer or refuses.
        """
        kept = self._kept(url)
        if kept and (self._offline or 0 <= self._clock() - kept.fetched_at < FRESH_FOR):
            return kept
        if self._offline:
            raise FetchError(f"{url} has not been fetched yet.")
        try:
            found = self._ask(url, kept)
        except FetchError as error:
            if kept is None:
                raise
            return replace(kept, stale=error.message)
        self._keep(found)
        return found

    def _ask(self, url: str, kept: Fetched | None) -> Fetched:
        import requests  # noqa: PLC0415  (slow to import)

        host = urlsplit(url).netloc
        if host in self._silent:
            raise FetchError(self._silent[host])
        headers = dict(self._headers.get(host, {}))
        if kept and kept.etag:
            headers["If-None-Match"] = kept.etag
        if kept and kept.modified:
            headers["If-Modified-Since"] = kept.modified
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
            ) as answer:
                if answer.status_code == requests.codes.not_modified and kept:
                    return replace(kept, fetched_at=self._clock())
                if not answer.ok:
                    raise FetchError(_refusal(url, answer))
                body = _body(url, answer)
                return Fetched(
                    url=url,
                    body=body,
                    fetched_at=self._clock(),
                    etag=answer.headers.get("ETag", ""),
                    modified=answer.headers.get("Last-Modified", ""),
                )
        except (requests.ConnectionError, requests.Timeout) as error:
            message = f"{host} does not answer: {_reason(error)}."
            self._silent[host] = message
            raise FetchError(message) from error
        except requests.RequestException as error:
            raise FetchError(f"{url} cannot be fetched: {_reason(error)}.") from error

    # -- the cache

    def _path(self, url: str) -> Path | None:
        return self._cache / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json" if self._cache else None

    def _kept(self, url: str) -> Fetched | None:
        path = self._path(url)
        try:
            data = read_if_exists(path) if path else None
            if data is None:
                return None
            value = json.loads(data)
            kept = Fetched(
                url=str(value["url"]),
                body=b64decode(value["body"]),
                fetched_at=float(value["fetched_at"]),
                etag=str(value["etag"]),
                modified=str(value["modified"]),
            )
        except (StateError, ValueError, KeyError, TypeError) as error:
            _log.warning("a file of the cache cannot be used", path=str(path), reason=str(error))
            return None
        return kept if kept.url == url else None

    def _keep(self, found: Fetched) -> None:
        path = self._path(found.url)
        if path is None:
            return
        value = {
            "url": found.url,
            "fetched_at": found.fetched_at,
            "etag": found.etag,
            "modified": found.modified,
            "body": b64encode(found.body).decode(),
        }
        try:
            write_atomically(path, json.dumps(value).encode(), mode=0o600, durable=False)
        except StateError as error:
            _log.warning("what was fetched cannot be kept for later", reason=str(error))


def _body(url: str, answer: requests.Response) -> bytes:
    body = bytearray()
    end = time.monotonic() + TOTAL_SECONDS
    for block in answer.iter_content(_BLOCK):
        body += block
        if len(body) > MAX_BYTES:
            raise FetchError(f"{url} sends more than {MAX_BYTES:,} bytes.")
        if time.monotonic() > end:
            raise FetchError(f"{url} takes more than {TOTAL_SECONDS:.0f} seconds to send.")
    return bytes(body)


def _refusal(url: str, answer: requests.Response) -> str:
    text = f"{url} answers {answer.status_code} {answer.reason}".rstrip() + "."
    if answer.headers.get("X-RateLimit-Remaining") == "0":
        text += " The limit for requests without a login is used up: set GITHUB_TOKEN."
    return text


def _reason(error: Exception) -> str:
    """The innermost words of what requests wraps several times over."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    return (str(inner) or type(inner).__name__).rstrip(".")
