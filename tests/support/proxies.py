"""A Unix socket before an engine's: an engine that goes away, hangs, drips or lies, without harm to the real one.

Rules say what happens to which request::

    proxy.on("GET", r"/containers/json", drip())          # each listing, a byte a second
    proxy.on("POST", r"/containers/create", hang(), mentions="demo-node-0", times=1)
    proxy.on("POST", r"/containers/create", lose(), nth=2)  # the engine does it; nobody hears of it
    proxy.on("GET", r"/containers/[0-9a-f]+/json", alter(lambda found: found | {"State": None}))

What no rule matches passes as it is, streams included. :meth:`Proxy.clear` ends all rules and lets go what hangs.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.engines.discovery.selection import create_engine
from reconciler.engines.http.http_engine import HttpEngine
from tests.support.benches import Bench
from tests.support.proxied_messages import Gone, Head, Request, Wire, joined
from tests.support.workspaces import Workspace

Target = Workspace | Bench

_READ = 65536


@dataclass
class Exchange:
    """One request and its answer, for a fault to spoil."""

    request: Request
    client: socket.socket
    server: Wire
    released: threading.Event

    def ask(self) -> Head:
        """Pass the request on; the head of the answer."""
        self.server.sock.sendall(self.request.head.raw + self.request.raw_body)
        return Head(self.server.until(b"\r\n\r\n"))

    def parts(self, head: Head) -> Iterator[bytes]:
        """The raw body of the answer, as it comes."""
        return iter(()) if self.request.method == "HEAD" else self.server.body(head)

    def pass_on(self, head: Head) -> None:
        """Give the client the answer."""
        self.client.sendall(head.raw)
        if head.takes_over:
            _pump(self.client, self.server)
            raise Gone
        for part in self.parts(head):
            self.client.sendall(part)
        if not head.chunked and head.length is None and self.request.method != "HEAD":
            raise Gone

    def wait(self, seconds: float) -> None:
        """Let time pass, until the rules are cleared.

        Raises:
            Gone: the client has given up.
        """
        deadline = time.monotonic() + seconds
        while not self.released.is_set() and (left := deadline - time.monotonic()) > 0:
            if select.select([self.client], [], [], min(left, 0.05))[0]:
                if not self.client.recv(1, socket.MSG_PEEK):
                    raise Gone
                time.sleep(0.05)


Fault = Callable[[Exchange], None]


def let_through() -> Fault:
    """Nothing happens: for a rule that comes before others."""
    return lambda exchange: exchange.pass_on(exchange.ask())


def delay(seconds: float) -> Fault:
    """The answer comes so much later; what was asked for is done at once."""

    def fault(exchange: Exchange) -> None:
        head = exchange.ask()
        exchange.wait(seconds)
        exchange.pass_on(head)

    return fault


def drip(seconds: float = 1.0, *, head: bool = False) -> Fault:
    """The body comes a byte in so many seconds; with ``head``, the head as well."""

    def fault(exchange: Exchange) -> None:
        answer = exchange.ask()
        if not head:
            exchange.client.sendall(answer.raw)
        for part in (answer.raw if head else b"", *exchange.parts(answer)):
            for byte in part:
                exchange.client.sendall(bytes([byte]))
                exchange.wait(seconds)

    return fault


def hang(*, done: bool = False) -> Fault:
    """No answer, ever; ``done``: the engine does what it was asked for, else it never hears of it.

    When the rules are cleared, the connection breaks.
    """

    def fault(exchange: Exchange) -> None:
        if done:
            exchange.ask()
        exchange.wait(float("inf"))
        raise Gone

    return fault


def lose() -> Fault:
    """The engine does it and answers; the connection breaks before the client hears."""

    def fault(exchange: Exchange) -> None:
        head = exchange.ask()
        if head.chunked or head.length is not None:
            for _ in exchange.parts(head):
                pass
        raise Gone

    return fault


def break_body(after: int | None = None) -> Fault:
    """The connection breaks in the middle of the body, or ``after`` so many of its bytes."""

    def fault(exchange: Exchange) -> None:
        head = exchange.ask()
        exchange.client.sendall(head.raw)
        if after is None:
            body = b"".join(exchange.parts(head))
            exchange.client.sendall(body[: len(body) // 2])
            raise Gone
        left = after
        for part in exchange.parts(head):
            exchange.client.sendall(part[:left])
            left -= len(part)
            if left <= 0:
                raise Gone
        raise Gone

    return fault


def replace(body: Any, *, status: int = 200, done: bool = True) -> Fault:
    """Another answer: bytes as they are, anything else as JSON; ``done``: the engine hears of the request."""
    return _replaced(lambda _: body, status=status, done=done)


def alter(change: Callable[[Any], Any], *, status: int | None = None) -> Fault:
    """The engine's answer, changed: ``change`` gets its JSON (None where there is none)."""
    return _replaced(change, status=status)


def _replaced(change: Callable[[Any], Any], *, status: int | None, done: bool = True) -> Fault:
    def fault(exchange: Exchange) -> None:
        found, code = None, status
        if done:
            head = exchange.ask()
            if head.chunked or head.length is not None:
                text = joined(b"".join(exchange.parts(head)), head)
                with contextlib.suppress(ValueError):
                    found = json.loads(text)
            code = status or head.status
            if code in {204, 304}:
                code = 200
        new = change(found)
        data = new if isinstance(new, bytes) else json.dumps(new).encode()
        lines = f"HTTP/1.1 {code or 200} Replaced\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        exchange.client.sendall(f"{lines}\r\nConnection: close\r\n\r\n".encode() + data)
        raise Gone

    return fault


@dataclass
class Rule:
    """What happens to the requests that match, from the ``nth`` on, ``times`` of them."""

    method: str
    path: re.Pattern[str]
    fault: Fault
    mentions: str
    nth: int
    times: float
    matched: int = 0
    #: Set when it has struck.
    struck: threading.Event = field(default_factory=threading.Event)

    def applies(self, request: Request) -> bool:
        """Whether this request is one; counts those that match."""
        if request.method != self.method or not self.path.search(request.target):
            return False
        if self.mentions not in request.text:
            return False
        self.matched += 1
        return self.nth <= self.matched < self.nth + self.times


class Proxy:
    """Forwards requests until cut; a cut one refuses new connections and breaks those there are.

    Args:
        path: of the socket to make; at most 107 bytes.
        target: ``unix://`` URL of the engine.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self.url = f"unix://{path}"
        #: How many connections clients have made.
        self.connections = 0
        #: All requests so far.
        self.requests: list[Request] = []
        #: Set when :meth:`cut_at` has cut the proxy.
        self.was_cut = threading.Event()
        self._target = target.removeprefix("unix://")
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._rules: list[Rule] = []
        self._released = threading.Event()

    def on(
        self,
        method: str,
        path: str,
        fault: Fault,
        *,
        mentions: str = "",
        nth: int = 1,
        times: float = float("inf"),
    ) -> Rule:
        """Add a rule; the first that applies to a request counts.

        Args:
            method: of HTTP.
            path: a regular expression, searched for in path and query.
            fault: what happens.
            mentions: text that path, query or body must have.
            nth: the first of the matching requests that it happens to.
            times: how many it happens to.
        """
        rule = Rule(method, re.compile(path), fault, mentions, nth, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """End all rules; what is delayed or hangs is let go."""
        with self._lock:
            self._rules.clear()
            released, self._released = self._released, threading.Event()
        released.set()

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests so far that match."""
        with self._lock:
            return [r for r in self.requests if r.method == method and re.search(path, r.target)]

    def mend(self) -> None:
        """Let connections through (again)."""
        listener = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        listener.bind(str(self.path))
        listener.listen(64)
        self.clear()
        with self._lock:
            self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Break everything; the socket is gone as after the end of an engine."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._open = self._open, set()
            self._released.set()
        self.path.unlink(missing_ok=True)
        for one in (listener, *connections):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def cut_at(self, path: str, *, nth: int = 1) -> None:
        """Cut everything right after the ``nth`` such POST was passed on: no answer comes."""

        def fault(exchange: Exchange) -> None:
            exchange.server.sock.sendall(exchange.request.head.raw + exchange.request.raw_body)
            self.cut()
            self.was_cut.set()
            raise Gone

        self.on("POST", path, fault, nth=nth, times=1)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self.connections += 1
                self._open |= {client, server}
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Pass on one request after the other."""
        # ValueError: another thread has closed them.
        with contextlib.suppress(Gone, OSError, ValueError):
            asking, answering = Wire(client), Wire(server, watched=client)
            while True:
                head = Head(asking.until(b"\r\n\r\n"))
                request = Request(head, b"".join(asking.body(head)))
                fault, released = self._fault_for(request)
                fault(Exchange(request, client, answering, released))
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        with self._lock:
            self._open -= {client, server}

    def _fault_for(self, request: Request) -> tuple[Fault, threading.Event]:
        with self._lock:
            self.requests.append(request)
            for rule in self._rules:
                if rule.applies(request):
                    rule.struck.set()
                    return rule.fault, self._released
            return let_through(), self._released


def _pump(client: socket.socket, server: Wire) -> None:
    """Pass on both ways until both have ended; a half-closed stream keeps its other half."""
    client.sendall(server.leftover())
    talking = [client, server.sock]
    while server.sock in talking:
        for source in select.select(talking, [], [])[0]:
            sink = server.sock if source is client else client
            if data := source.recv(_READ):
                sink.sendall(data)
            else:
                talking.remove(source)
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)


FaultyEngine = Callable[[Target], Proxy]


@contextlib.contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """A proxy that lets through, for the length of a ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="rt-", dir="/tmp") as folder:  # the socket's path must be short
        one = Proxy(Path(folder) / "s", target)
        one.mend()
        try:
            yield one
        finally:
            one.cut()


@contextlib.contextmanager
def stand_between(target: Target) -> Iterator[Proxy]:
    """A proxy that a workspace's commands, or a bench, use for the length of a ``with`` block.

    What a workspace looks at itself (``containers``, ``api``, ``clean``) still goes to the engine.
    """
    if isinstance(target, Workspace):
        with proxy(target.url) as one:
            target.settings["CONTAINER_HOST"] = one.url
            yield one
        return
    real = target.engine
    assert isinstance(real, HttpEngine), "the process engine has no socket"
    with proxy(real.url) as one:
        target.engine = create_engine("podman" if real.name == "podman" else "docker", one.url)
        try:
            yield one
        finally:
            target.engine.close()
            target.engine = real
