"""Fetches files over HTTP, with a cache that outlives the process.

A runtime changes rarely and is needed at every start, also without a network. So what was fetched is kept,
and the server is asked whether it has changed (ETag, Last-Modified); when it does not answer, or has a faulty
file now, the cached one is used however old it is, and a warning says so. Only a file that can be read is
kept: a mistake on the server is gone once it is corrected there.

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

from reconciler.common.unicode_text import decode_json
from reconciler.errors import ReconcilerError, StateError
from reconciler.state.atomic_files import read_if_exists, write_atomically

if TYPE_CHECKING:
    import requests

MAX_BYTES: Final = 8 * 1024 * 1024
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 15.0
TOTAL_SECONDS: Final = 60.0
_BLOCK: Final = 64 * 1024

_log = structlog.get_logger(__name__)


class FetchError(ReconcilerError):
    """A URL cannot be fetched; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """The file at a URL.

    Attributes:
        fetched_at: seconds since the epoch when the server last confirmed it.
        stale: why it is older than it should be; "" when it is not.
        is_copy: it is from the cache, and the server was not asked or gave nothing better.
    """

    url: str
    body: bytes
    fetched_at: float
    etag: str = ""
    modified: str = ""
    stale: str = ""
    is_copy: bool = False


class CachedFetcher:
    """Fetches through a cache, for one round of fetching, from one thread.

    Args:
        cache: folder.
        clock: seconds since the epoch.
        headers: for a host (``host:port``), sent to it and to no other.
        offline: use only the cache, however old, and ask no server.
    """

    def __init__(
        self,
        cache: Path,
        *,
        clock: Callable[[], float],
        headers: Mapping[str, Mapping[str, str]],
        offline: bool,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._headers = headers
        self._offline = offline
        self._unreachable: dict[str, str] = {}

    def get(self, url: str, *, ttl: float, check: Callable[[bytes], str]) -> FetchedFile:
        """Get the file at a URL, or its cached copy.

        Args:
            url: where it is.
            ttl: seconds for which a copy is used without asking the server.
            check: says what is wrong with a file's content; "" for one that may be kept.

        Returns:
            A file without a fault, or the server's with its faults where there is no copy of a better one.

        Raises:
            FetchError: there is nothing in the cache, and the server does not answer or refuses.
        """
        cached = self._load(url)
        if cached and check(cached.body):
            cached = None  # kept by an earlier version
        if cached and (self._offline or 0 <= self._clock() - cached.fetched_at < ttl):
            return replace(cached, is_copy=True)
        if self._offline:
            raise FetchError(f"{url} has not been fetched yet.")
        try:
            fetched = self._request(url, cached)
        except FetchError as error:
            if cached is None:
                raise
            return replace(cached, stale=error.message, is_copy=True)
        if problem := check(fetched.body):
            if cached is None:
                return fetched
            return replace(cached, stale=f"{url} is faulty now: {problem}.", is_copy=True)
        self._store(fetched)
        return fetched

    def _request(self, url: str, cached: FetchedFile | None) -> FetchedFile:
        import requests  # noqa: PLC0415  (slow to import)

        host = urlsplit(url).netloc
        if host in self._unreachable:
            raise FetchError(self._unreachable[host])
        headers = dict(self._headers.get(host, {}))
        if cached and cached.etag:
            headers["If-None-Match"] = cached.etag
        if cached and cached.modified:
            headers["If-Modified-Since"] = cached.modified
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
            ) as response:
                if response.status_code == requests.codes.not_modified and cached:
                    return replace(cached, fetched_at=self._clock())
                if not response.ok:
                    raise FetchError(_status_message(url, response))
                body = _body(url, response)
                return FetchedFile(
                    url=url,
                    body=body,
                    fetched_at=self._clock(),
                    etag=response.headers.get("ETag", ""),
                    modified=response.headers.get("Last-Modified", ""),
                )
        except (requests.ConnectionError, requests.Timeout) as error:
            message = f"{host} does not answer: {_reason(error)}."
            self._unreachable[host] = message
            raise FetchError(message) from error
        except requests.RequestException as error:
            raise FetchError(f"{url} cannot be fetched: {_reason(error)}.") from error

    # -- the cache

    def _path(self, url: str) -> Path:
        return self._cache / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.json"

    def _load(self, url: str) -> FetchedFile | None:
        path = self._path(url)
        try:
            data = read_if_exists(path)
            if data is None:
                return None
            value = decode_json(data)
            cached = FetchedFile(
                url=str(value["url"]),
                body=b64decode(value["body"]),
                fetched_at=float(value["fetched_at"]),
                etag=str(value["etag"]),
                modified=str(value["modified"]),
            )
        except (StateError, ValueError, KeyError, TypeError) as error:
            _log.warning("runtime cache file unusable", path=str(path), reason=str(error))
            return None
        return cached if cached.url == url else None

    def _store(self, fetched: FetchedFile) -> None:
        value = {
            "url": fetched.url,
            "fetched_at": fetched.fetched_at,
            "etag": fetched.etag,
            "modified": fetched.modified,
            "body": b64encode(fetched.body).decode(),
        }
        try:
            path = self._path(fetched.url)
            write_atomically(path, json.dumps(value).encode(), mode=0o600, durable=False)
        except StateError as error:
            _log.warning("runtime cache write failed", reason=str(error))


def _body(url: str, response: requests.Response) -> bytes:
    body = bytearray()
    end = time.monotonic() + TOTAL_SECONDS
    for block in response.iter_content(_BLOCK):
        body += block
        if len(body) > MAX_BYTES:
            raise FetchError(f"{url} sends more than {MAX_BYTES:,} bytes.")
        if time.monotonic() > end:
            raise FetchError(f"{url} takes more than {TOTAL_SECONDS:.0f} seconds to send.")
    return bytes(body)


def _status_message(url: str, response: requests.Response) -> str:
    text = f"{url} answers {response.status_code} {response.reason}".rstrip() + "."
    if response.headers.get("X-RateLimit-Remaining") == "0":
        text += " The limit for requests without a login is used up: set GITHUB_TOKEN."
    return text


def _reason(error: Exception) -> str:
    """The innermost message of what requests wraps several times over."""
    inner: BaseException = error
    while (cause := inner.__cause__ or inner.__context__) is not None:
        inner = cause
    return (str(inner) or type(inner).__name__).rstrip(".")
