"""The folder of manifests before anybody works on it: that it is there, and that nobody else works on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from reconciler.config.settings import Settings
from reconciler.errors import NotAFolder, ReconcilerError
from reconciler.state.atomic_files import FileLock, FolderLock, keep_private
from reconciler.state.instance_lock import InstanceLock


@contextmanager
def sole_use(settings: Settings) -> Iterator[None]:
    """Keep other daemons from the folder and from this one's state.

    Raises:
        StateError: another daemon holds the folder or has its instance, or the state folder cannot be used.
    """
    keep_private(settings.state_dir)
    lock = FileLock(settings.state_dir / "locks" / f"{settings.instance}.lock")
    lock.acquire(command=f"reconciler run --specs {settings.specs}", since=_now_text())
    # A followed repository is locked by its instance: its folder of manifests changes with every revision.
    folder = FolderLock(settings.git_folder or settings.specs)
    # Daemons with other state folders meet neither there nor here.
    instance = InstanceLock(settings.instance)
    try:
        folder.acquire()
        instance.acquire()
        yield
    finally:
        # The state folder's last: who waits for that one finds the others free.
        instance.release()
        folder.release()
        lock.release()


def require_folder(settings: Settings) -> None:
    """Refuse to go on without one.

    Raises:
        ReconcilerError: the folder is not there.
    """
    if not settings.specs.is_dir():
        if settings.git is not None:
            raise ReconcilerError(
                f"No revision of {settings.git} is checked out.", remedy="A daemon does that: reconciler run."
            )
        if settings.specs.exists():
            raise NotAFolder(str(settings.specs))
        raise ReconcilerError(
            f"The folder of manifests {settings.specs} is not there.",
            remedy="Make it and put manifests in, or name another one with --specs DIR.",
        )


def _now_text() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds") + f" (pid {os.getpid()})"
