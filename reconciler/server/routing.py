"""Which endpoint a request is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.server.messages import Head, Request, Response

#: Asked before the body is read: the answer to one who may not, None to one who may.
Admit = Callable[[Head], Response | None]
_PARAMETER = re.compile(r"\{(\w+)\}")


def let_in(_head: Head) -> Response | None:
    """Admits everybody."""
    return None


@dataclass(frozen=True)
class Route:
    """One endpoint.

    Attributes:
        method: as sent, in upper case.
        pattern: a path; ``{name}`` stands for one part of it, which is then in ``params``.
        handle: makes the answer, in a thread; what it raises is a 500.
    """

    method: str
    pattern: str
    handle: Callable[[Request], Response]
    admit: Admit = let_in

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """The parameters, or None where the request is for another route."""
        if method != self.method:
            return None
        pieces = _PARAMETER.split(self.pattern)
        texts = [re.escape(p) if n % 2 == 0 else f"(?P<{p}>[^/]+)" for n, p in enumerate(pieces)]
        found = re.fullmatch("".join(texts), path)
        return found.groupdict() if found is not None else None


class Routes:
    """The endpoints of one listener; anything else is not found."""

    def __init__(self, *routes: Route) -> None:
        self._routes = routes

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """The endpoint of a request and its parameters."""
        for route in self._routes:
            params = route.match(method, path)
            if params is not None:
                return route, params
        return None
