"""Renews the tokens in the mounted files after four fifths of their life, as the kubelet does it.

Containers have the folder mounted, so they see a file that is replaced in it. Only existing files in existing
folders are replaced: those of a job that has just ended must not come back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from reconciler.plan.progress_reporting import TOKEN_FILE, TOKEN_SECONDS, TOKEN_VOLUME
from reconciler.state.atomic_files import TEMPORARY_PREFIX

RENEW_AFTER: Final = TOKEN_SECONDS * 0.8


def renew_tokens(root: Path, issue: Callable[[str, str], str | None], *, now: float) -> int:
    """Replaces the tokens that are old; returns how many.

    Args:
        root: ``<state>/files/<instance>``, below it ``<namespace>/<job>/<container>/<volume>/token``.
        issue: returns a token by namespace and job; None where there is no such job.
        now: seconds since the epoch.
    """
    renewed = 0
    for path in root.glob(f"*/*/*/{TOKEN_VOLUME}/{TOKEN_FILE}"):
        namespace, job = path.parts[-5], path.parts[-4]
        with suppress(OSError):
            age = now - path.stat().st_mtime
            # A time in the future: the token was written before the clock was set back.
            if -60 < age < RENEW_AFTER:
                continue
            token = issue(namespace, job)
            if token is not None:
                _replace(path, token, now)
                renewed += 1
    return renewed


def _replace(path: Path, token: str, now: float) -> None:
    """Replaces a token atomically, with the old file's mode and owner."""
    old = path.stat()
    temporary = path.parent / f"{TEMPORARY_PREFIX}{TOKEN_FILE}"
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123  (a descriptor)
            file.write(token)
            with suppress(PermissionError):
                os.fchown(descriptor, old.st_uid, old.st_gid)
            os.fchmod(descriptor, old.st_mode & 0o777)
        os.utime(temporary, (now, now))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
