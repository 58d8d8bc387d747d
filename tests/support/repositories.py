"""Real git repositories, and workspaces that follow one instead of having a folder of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.workspaces import Workspace

_NOBODYS_CONFIG = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A. Committer",
    "GIT_AUTHOR_EMAIL": "committer@example.com",
    "GIT_COMMITTER_NAME": "A. Committer",
    "GIT_COMMITTER_EMAIL": "committer@example.com",
}


@dataclass
class Repository:
    """A working copy; the daemon follows the bare repository that it pushes to.

    Attributes:
        folder: made by this.
        signing: options for ``git commit``, to have every commit signed.
    """

    folder: Path
    signing: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.bare.mkdir()
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        self.git("init", "--quiet", "--initial-branch=main", str(self.work))

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def bare(self) -> Path:
        return self.folder / "remote.git"

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def git(self, *arguments: str, data: str | None = None, at: Path | None = None) -> str:
        """Run git in the working copy, or elsewhere."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=at or (self.work if self.work.is_dir() else self.folder),
            env={**os.environ, **_NOBODYS_CONFIG, **self.environment},
            input=data,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def put(self, file: str, *documents: Mapping[str, Any] | str) -> None:
        """Write a manifest into the working copy."""
        path = self.work / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("---\n".join(d if isinstance(d, str) else yaml.safe_dump(dict(d)) for d in documents))

    def remove(self, file: str) -> None:
        """Take a file or folder out of the working copy."""
        path = self.work / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def commit(self, message: str = "Change", *, push: bool = True) -> str:
        """Commit everything there is; the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", *self.signing, "-m", message)
        if push:
            self.push()
        return self.git("rev-parse", "HEAD")

    def push(self, branch: str = "main") -> None:
        """Make the remote's branch what the working copy is."""
        self.git("push", "--quiet", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")


class Followed(Workspace):
    """A workspace that follows a repository; its settings say which."""

    @property
    def environment(self) -> dict[str, str]:
        """As of a workspace, without a folder."""
        return {name: value for name, value in super().environment.items() if name != "RECONCILER_SPECS"}

    @property
    def place(self) -> Path:
        """What the daemon keeps of the repository."""
        return self.root / "state" / "reconciler" / "git" / self.instance

    def documents(self) -> list[dict[str, Any]]:
        """All documents of all sidecars."""
        found: list[dict[str, Any]] = []
        for path in sorted((self.place / "status").rglob("*.status.yaml")):
            try:
                found += [d for d in yaml.safe_load_all(path.read_text()) if d]
            except FileNotFoundError:
                continue
        return found

    def source(self) -> dict[str, Any]:
        """The repository's own status; empty while there is none."""
        return next((dict(d["status"]) for d in self.documents() if d["kind"] == "GitRepository"), {})

    def revision(self, job: str) -> str:
        """The commit in the job's status."""
        return str((self.status(job).get("source") or {}).get("revision", ""))

    def clean(self) -> None:
        """Processes end when no manifest asks for them: follow an empty repository once."""
        if self.engine != "process" or self.cleaned:
            super().clean()
            return
        self.cleaned = True
        empty = Repository(self.root / "empty")
        empty.commit()
        self.settings = {"GIT": empty.url}
        self.cli("run", "--once", "--allow-empty", timeout=60)
