"""Small JSON files, each written as a whole or not at all.

What can go wrong: a reader between two writes sees the older content, never half of the newer. After a power
cut a file may be missing, not torn: what must survive one is written with ``durable``.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEC = "spec.json"
RUN = "run.json"
EXIT = "exit.json"
LOG = "output.log"


def read(path: str) -> dict[str, Any] | None:
    """Returns the object in the file; None where there is no file.

    Raises:
        OSError, ValueError: it cannot be read, or does not hold a JSON object.
    """
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")  # noqa: TRY004  (a fault of the content)
    return value


def write(path: str, value: dict[str, Any], *, exclusive: bool = False, durable: bool = False) -> None:
    """Writes the object, readable by the owner only.

    Args:
        path: of the file; its folder must exist.
        value: of types that JSON has.
        exclusive: refuse to replace a file.
        durable: survive a power cut.

    Raises:
        FileExistsError: ``exclusive``, and the file exists.
    """
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(value, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if exclusive:
            os.link(temporary, path)
        else:
            os.rename(temporary, path)
    finally:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass  # renamed, or its folder has been removed


def remove(path: str) -> None:
    """Removes a file; a missing one is not an error."""
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
