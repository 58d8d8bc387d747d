"""Keeps an instance to one daemon of a user, whatever state folder each of them has.

Everything on the engine carries the instance, and a daemon takes what carries its own for its own. Two
daemons of one instance with different state folders (one git URL followed twice, one ``--instance`` given
twice) would each remove what the other starts, and the locks in their folders never meet. So there is one
more that belongs to no folder: a name in the kernel's table of abstract sockets, which goes with the
process, however that ends.

What can go wrong: other systems than Linux have no such names, and each container with a network of its own
has its own table: there the locks in the folders are all there is. Another user may take the name; that is
seen, and means nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from reconciler.common.socket_peers import listener_of
from reconciler.errors import StateError

#: Who looks at the holder stays in its queue, as nobody takes anybody up.
_QUEUE: Final = 64


class InstanceLock:
    """See the module.

    Args:
        instance: that is to be one's own.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._name = f"\0reconciler.trainer.kubeflow.org/{os.geteuid()}/{instance}"
        self._socket: socket.socket | None = None

    def acquire(self) -> Self:
        """Take it, without waiting.

        Raises:
            StateError: another daemon of this user has it; the message says which.
        """
        if sys.platform != "linux":
            return self
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.bind(self._name)
            made.listen(_QUEUE)
        except OSError as error:
            made.close()
            if error.errno != errno.EADDRINUSE:
                return self
            holder = listener_of(self._name, timeout=1.0)
            if holder is not None and holder[1] != os.geteuid():
                return self
            raise self._taken(holder[0] if holder is not None else 0) from error
        self._socket = made
        return self

    def release(self) -> None:
        """Give it back; without effect when it is not held."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _taken(self, process: int) -> StateError:
        command = ""
        with suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            command = b" ".join(words).decode(errors="replace")[:300]
        who = f'pid {process}, "{command}"' if process and command else "another process"
        return StateError(
            f"Another reconciler has the instance {self._instance} already ({who}), with another state "
            "folder: each would take the other's containers for its own.",
            remedy="Stop it first, or give this one a name of its own with --instance.",
        )
