"""The state folder (``--state-dir``): made once, and what is private in it closed to other users."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from reconciler.state.atomic_files import state_error

#: Folders that nobody else may read; ``process`` has its own rules.
PRIVATE_FOLDERS: Final = ("records", "removals", "secrets", "files", "locks", "held", "grants")


def prepare_state_directory(state_dir: Path) -> None:
    """Make the state folder, and close what is private in it to other users.

    An existing one keeps its mode (it may be shared); in a new one other users can pass through to a path
    that they know: the process engine's containers may run as another user.

    Raises:
        StateError: it cannot be made.
    """
    try:
        if not state_dir.exists():
            state_dir.parent.mkdir(parents=True, exist_ok=True)
            state_dir.mkdir(mode=0o711, exist_ok=True)
        for folder in PRIVATE_FOLDERS:
            (state_dir / folder).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise state_error("make the state folder", state_dir, error) from error
    for path in (state_dir / folder for folder in PRIVATE_FOLDERS):
        with contextlib.suppress(OSError):
            if not path.is_symlink():
                path.chmod(0o700)
