"""Replaces the paths, addresses and ports of a container's specification with those of this machine.

Only where the planned ones cannot be provided: paths where a container has no mount namespace, addresses
where the machine has only 127.0.0.1, the port where another job has the usual one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.engines.process.networks.loopback_addresses import LOCALHOST
from reconciler.names import MASTER_PORT

_IPV4 = re.compile(r"(?<![\w.])127(?:\.\d{1,3}){3}(?![\w.])")
_PORT_AFTER_COLON = re.compile(rf":{MASTER_PORT}(?!\w)")
_PORT_OPTION = re.compile(rf"(?i)(port[=\s:]+[\"']?){MASTER_PORT}(?!\w)")


class SpecRewriter:
    """Rewrites texts of one container's specification.

    Args:
        paths: path in the specification to the path that replaces it, and everything below it.
        port: in place of 29500; None keeps it.
        subnet: its addresses become 127.0.0.1; "" keeps them.
    """

    def __init__(self, paths: Mapping[str, str], *, port: int | None = None, subnet: str = "") -> None:
        #: The arguments, as plain data.
        self.arguments: dict[str, Any] = {"paths": dict(paths), "port": port, "subnet": subnet}
        self._paths = dict(paths)
        ordered = sorted(paths, key=len, reverse=True)  # the innermost mount wins
        alternatives = "|".join(re.escape(path) for path in ordered)
        self._path = (
            re.compile(rf"(?:(?<=://)|(?<![\w./~)}}*-]))(?:{alternatives})(?![\w.-])") if paths else None
        )
        self._port = port if port != MASTER_PORT else None
        self._subnet = ipaddress.ip_network(subnet) if subnet else None

    def rewrite_text(self, text: str) -> str:
        """Rewrites paths, addresses, and ``<host>:29500``."""
        if self._path is not None:
            text = self._path.sub(lambda found: self._paths[found.group()], text)
        if self._port is not None:
            text = _PORT_AFTER_COLON.sub(f":{self._port}", text)
        if self._subnet is not None:
            text = _IPV4.sub(lambda found: self._rewrite_address(found.group()), text)
        return text

    def _rewrite_address(self, text: str) -> str:
        try:
            inside = self._subnet is not None and ipaddress.ip_address(text) in self._subnet
        except ValueError:
            return text
        return LOCALHOST if inside else text

    def rewrite_command(self, argv: Iterable[str]) -> list[str]:
        """Rewrites a command line: texts, and ports given as ``--master-port 29500`` or ``--port=29500``."""
        result: list[str] = []
        before = ""
        for argument in argv:
            new = self.rewrite_text(argument)
            if self._port is not None:
                if new == str(MASTER_PORT) and before.lower().endswith("port"):
                    new = str(self._port)
                new = _PORT_OPTION.sub(rf"\g<1>{self._port}", new)
            result.append(new)
            before = argument
        return result

    def rewrite_environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Rewrites variables: texts, and 29500 in those whose name ends in ``PORT``."""
        return {
            name: str(self._port)
            if self._port is not None and value == str(MASTER_PORT) and name.endswith("PORT")
            else self.rewrite_text(value)
            for name, value in env.items()
        }
