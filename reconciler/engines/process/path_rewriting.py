"""Putting this machine's paths, addresses and ports in the place of those a manifest was planned with.

Only where the real thing cannot be had: paths where a container gets no view of the file system of its own,
addresses where the machine has only 127.0.0.1, the port where another job has the usual one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.engines.process.loopback_addresses import LOCALHOST
from reconciler.names import MASTER_PORT

_IPV4 = re.compile(r"(?<![\w.])127(?:\.\d{1,3}){3}(?![\w.])")
_PORT_AFTER_COLON = re.compile(rf":{MASTER_PORT}(?!\w)")
_PORT_OPTION = re.compile(rf"(?i)(port[=\s:]+[\"']?){MASTER_PORT}(?!\w)")


class Rewriter:
    """Changes texts of a container's specification.

    Args:
        paths: what to put in place of a path and everything below it.
        port: in place of 29500; None leaves it.
        subnet: whose addresses become 127.0.0.1; "" leaves them.
    """

    def __init__(self, paths: Mapping[str, str], *, port: int | None = None, subnet: str = "") -> None:
        #: The arguments, as plain data.
        self.facts: dict[str, Any] = {"paths": dict(paths), "port": port, "subnet": subnet}
        self._paths = dict(paths)
        ordered = sorted(paths, key=len, reverse=True)  # the innermost mount wins
        alternatives = "|".join(re.escape(path) for path in ordered)
        self._path = (
            re.compile(rf"(?:(?<=://)|(?<![\w./~)}}*-]))(?:{alternatives})(?![\w.-])") if paths else None
        )
        self._port = port if port != MASTER_PORT else None
        self._subnet = ipaddress.ip_network(subnet) if subnet else None

    def text(self, value: str) -> str:
        """Any text: paths, addresses, and ``<host>:29500``."""
        if self._path is not None:
            value = self._path.sub(lambda found: self._paths[found.group()], value)
        if self._port is not None:
            value = _PORT_AFTER_COLON.sub(f":{self._port}", value)
        if self._subnet is not None:
            value = _IPV4.sub(lambda found: self._address(found.group()), value)
        return value

    def _address(self, text: str) -> str:
        try:
            inside = self._subnet is not None and ipaddress.ip_address(text) in self._subnet
        except ValueError:
            return text
        return LOCALHOST if inside else text

    def arguments(self, values: Iterable[str]) -> list[str]:
        """A command line: texts, and ports given as ``--master-port 29500`` or ``--port=29500``."""
        result: list[str] = []
        before = ""
        for value in values:
            new = self.text(value)
            if self._port is not None:
                if new == str(MASTER_PORT) and before.lower().endswith("port"):
                    new = str(self._port)
                new = _PORT_OPTION.sub(rf"\g<1>{self._port}", new)
            result.append(new)
            before = value
        return result

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """Variables: texts, and 29500 in those whose name ends in ``PORT``."""
        return {
            name: str(self._port)
            if self._port is not None and value == str(MASTER_PORT) and name.endswith("PORT")
            else self.text(value)
            for name, value in values.items()
        }
