"""Scripts that wait for the test, and tell it things: a folder that a job's nodes and the test share.

A node waits for a flag instead of sleeping for a guessed time, so a test is as quick as what it tests, and
does not depend on how busy the machine is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support import images
from tests.support.manifests import runtime
from tests.support.workspaces import Workspace, eventually

#: A shell that ends at TERM at once: PID 1 ignores signals it has no handler for.
POLITE = "trap 'exit 143' TERM; "


class Flags:
    """A folder both sides see, and scripts in terms of it."""

    def __init__(self, workspace: Workspace, name: str = "flags") -> None:
        self._workspace = workspace
        self.folder = workspace.root / name
        self.folder.mkdir(exist_ok=True)
        # The nodes see it under the same path, on every engine.
        self.inside = str(self.folder)

    def runtime(self, name: str = "rt", **parts: Any) -> dict[str, Any]:
        """A runtime whose nodes see the folder; ``parts`` as :func:`tests.support.manifests.runtime` has them."""
        if self._workspace.engine == "process":
            return runtime(name, images.reference(), **parts)
        container = _with(parts.pop("container", {}), "volumeMounts", {"name": "f", "mountPath": self.inside})
        pod = _with(parts.pop("pod", {}), "volumes", {"name": "f", "hostPath": {"path": str(self.folder)}})
        return runtime(name, images.reference(), container=container, pod=pod, **parts)

    def wait(self, flag: str = "go") -> str:
        """Shell: until the test raises the flag; ends at once at TERM."""
        return f"{POLITE}while [ ! -e {self.inside}/{flag} ]; do sleep 0.1; done; "

    def note(self, text: str, to: str = "notes") -> str:
        """Shell: tell the test a line (``$RANK`` and the like are expanded)."""
        return f'echo "{text}" >> {self.inside}/{to}; '

    def once(self, script: str, flag: str = "once") -> str:
        """Shell: only for who comes first (a folder is made by one alone)."""
        return f"if mkdir {self.inside}/{flag} 2>/dev/null; then {script}; fi; "

    def raise_flag(self, flag: str = "go") -> None:
        """Let those go on who wait for it."""
        (self.folder / flag).touch()

    def notes(self, to: str = "notes") -> list[str]:
        """The lines told so far."""
        path = self.folder / to
        return path.read_text().splitlines() if path.exists() else []

    def until_noted(self, count: int, to: str = "notes") -> list[str]:
        """Wait for at least ``count`` lines."""
        eventually(lambda: len(self.notes(to)) >= count, f"{count} lines in {to}: {self.notes(to)}")
        return self.notes(to)


def _with(part: Mapping[str, Any], key: str, item: Any) -> dict[str, Any]:
    return {**part, key: [*part.get(key, ()), item]}
