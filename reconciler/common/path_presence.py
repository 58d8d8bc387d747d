"""Whether there is something at a path, asked so that the question itself cannot fail.

:class:`pathlib.Path` raises in ``exists()`` and ``is_dir()`` what the system answers: a name that is too
long, a folder that may not be entered, a disk that is broken. One such path must not end a loop over many; so
these answer "no" to what cannot be looked at; :func:`is_absent` tells "there is none" from "nobody knows".
"""

from __future__ import annotations

import os
from pathlib import Path


def is_present(path: Path | str) -> bool:
    """Whether there is something at the path, links followed; False also where it cannot be looked at."""
    return os.path.exists(path)  # noqa: PTH110  (raises nothing)


def is_folder(path: Path | str) -> bool:
    """Whether there is a folder at the path, links followed; False also where it cannot be looked at."""
    return os.path.isdir(path)  # noqa: PTH112  (raises nothing)


def is_absent(path: Path | str) -> bool:
    """Whether there is certainly nothing at the path: False where it cannot be looked at.

    A link is something, wherever it points to: that may be on a file system that does not answer.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False
