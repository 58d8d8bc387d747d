"""The HTTP request of a probe: to one address, whatever the answer says, and over when its time is.

As the kubelet's: certificates are not verified, 200 to 399 is a success, at most 10 KiB of a body are read, a
redirect to the same host (at any port) is followed, one to another host is a success and not followed. No
name is resolved and no proxy asked: every connection goes to the address that was given. What can go wrong
is the container, which may answer anything or nothing; each is a :class:`ProbeFailed` with the reason.

Imports h11: import this module only where a container has such a probe.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from functools import cache
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import h11

from reconciler.controller.nodeservices.probe_failure import OUT_OF_REACH, ProbeFailed
from reconciler.plan.job_plan import ProbePlan

#: Bytes of an answer's body that are read; the rest is of no use.
BODY_LIMIT: Final = 10_240
HEAD_LIMIT: Final = 65_536
MAX_REDIRECTS: Final = 10
_CHUNK: Final = 16_384
_PORTS: Final = {"http": 80, "https": 443}
_REDIRECTS: Final = (301, 302, 303, 307, 308)
#: What the request says by itself.
_OWN_HEADERS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "trailer", "upgrade"}
)
#: Characters of a path and query that stay as they are.
_SAFE: Final = "/?%:@!$&'()*+,;=-._~"
#: Scripts leave the lines of probes out of their access logs by the kubelet's name.
_USER_AGENT: Final = b"kube-probe/reconciler"


def probe_http(plan: ProbePlan, address: str, *, source: str) -> None:
    """Returns when the container at the address has answered well.

    Args:
        plan: with a port for HTTP.
        address: IP address of the pod.
        source: address of this host to connect from, so that no other network is ever reached.

    Raises:
        ProbeFailed: it has not, within ``plan.timeout`` seconds.
    """
    try:
        asyncio.run(_probe(plan, address, source))
    except TimeoutError as error:
        raise ProbeFailed(f"no complete answer within {plan.timeout:g} s") from error
    except (OSError, EOFError, ValueError, h11.ProtocolError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
            raise ProbeFailed(OUT_OF_REACH) from error
        raise ProbeFailed(str(error) or type(error).__name__) from error


async def _probe(plan: ProbePlan, address: str, source: str) -> None:
    host = f"[{address}]" if ":" in address else address
    url = urlsplit(f"{plan.http_scheme.lower()}://{host}:{plan.http_port}{_request_path(plan.http_path)}")
    named = next((value for name, value in plan.http_headers if name.lower() == "host"), "")
    async with asyncio.timeout(plan.timeout):
        for _ in range(MAX_REDIRECTS):
            response = await _get(url, named, plan, address, source)
            location = _location(response)
            if not location:
                break
            target = urlsplit(urljoin(url.geturl(), location))
            if target.scheme not in _PORTS or target.hostname != address:
                break
            # A name from httpHeaders is for this address; a redirect that names a host has one of its own.
            named = "" if urlsplit(location).netloc else named
            url = target
        else:
            raise ProbeFailed(f"stopped after {MAX_REDIRECTS} redirects")
    if not 200 <= response.status_code < 400:
        raise ProbeFailed(f"HTTP status {response.status_code}")


def _request_path(path: str) -> str:
    """Returns path and query of what ``httpGet.path`` has, without a host that it may name."""
    parts = urlsplit(path)
    text = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return quote("/" + text.lstrip("/"), safe=_SAFE)


def _location(response: h11.Response) -> str:
    if response.status_code not in _REDIRECTS:
        return ""
    return next((value.decode("latin-1") for name, value in response.headers if name == b"location"), "")


async def _get(url: SplitResult, named: str, plan: ProbePlan, address: str, source: str) -> h11.Response:
    """Sends one request and reads the answer as far as it is of use."""
    port = url.port or _PORTS[url.scheme]
    reader, writer = await asyncio.open_connection(
        address,
        port,
        local_addr=(source, 0),
        limit=_CHUNK,
        ssl=_tls_context() if url.scheme == "https" else None,
        server_hostname="" if url.scheme == "https" else None,
    )
    try:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT)
        writer.write(_request(http, url, named or url.netloc, plan))
        return await _read_response(http, reader)
    finally:
        writer.transport.abort()


def _request(http: h11.Connection, url: SplitResult, host: str, plan: ProbePlan) -> bytes:
    own = [(b"Host", host.encode()), (b"Connection", b"close")]
    given = [(n.encode(), v.encode()) for n, v in plan.http_headers if n.lower() not in _OWN_HEADERS]
    names = {name.lower() for name, _ in given}
    usual = [(b"User-Agent", _USER_AGENT), (b"Accept", b"*/*")]
    headers = own + given + [(name, value) for name, value in usual if name.lower() not in names]
    target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    request = h11.Request(method="GET", target=quote(target, safe=_SAFE), headers=headers)
    return (http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b"")


async def _read_response(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Response:
    response: h11.Response | None = None
    left = BODY_LIMIT
    while left > 0:
        event = http.next_event()
        if event is h11.NEED_DATA:
            # Also the empty piece of a connection that was closed: h11 knows whether the answer was complete.
            http.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            left -= len(event.data)
        elif not isinstance(event, h11.InformationalResponse):
            break
    if response is None:
        raise ProbeFailed("closed without an answer")
    return response


@cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # A key that is too short for today's rules is none of a probe's business either.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context
