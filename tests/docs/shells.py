"""A page's commands, run in one bash in a folder of its own, as a reader would type them."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.pages import ROOT

#: A training of three nodes on a loaded machine takes its time.
SECONDS = 240.0


@dataclass
class Shell:
    """bash with the project's command on its PATH, and everything it writes below ``home``."""

    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=self.home, env=self.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, command: str) -> tuple[int, str]:
        """Run a command line to its end; exit status and output.

        Raises:
            AssertionError: it does not end.
        """
        mark = f"--{uuid.uuid4().hex}--"
        assert self.process.stdin is not None
        # Standard input is closed for the command: bash itself reads from the pipe. Of several lines the
        # first that fails counts, though those after it are run.
        script = (
            "failed=0; trap 'code=$?; [ $failed != 0 ] || failed=$code' ERR\n"
            f"{{ {command}\n}} </dev/null\ntrap - ERR; echo {mark} $failed\n"
        )
        self.process.stdin.write(script.encode())
        self.process.stdin.flush()
        text = self._until(mark, command)
        output, _, status = text.rpartition(mark)
        return int(status), output

    def _until(self, mark: str, command: str) -> str:
        assert self.process.stdout is not None
        found, deadline = b"", time.monotonic() + SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while not re.search(mark.encode() + rb" \d+\n", found):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"{command}: not done in {SECONDS:.0f} s:\n{found.decode()[-2000:]}")
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    raise AssertionError(f"{command}: the shell ended:\n{found.decode()[-2000:]}")
                found += chunk
        return found.decode(errors="replace")

    def background(self, command: str) -> None:
        """Start a command that runs until the page ends."""
        log = self.home / f"background-{len(self.others)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.others.append(process)

    def close(self) -> str:
        """End everything; what the background said."""
        for process in self.others:
            process.send_signal(signal.SIGTERM)
        for process in self.others:
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
        return "\n".join(path.read_text(errors="replace") for path in self.home.glob("background-*.log"))


def prepare(home: Path, python: Path, **more: str) -> Shell:
    """A shell for a page: the examples at ``specs/``, the process engine, a state folder of its own."""
    shutil.copytree(ROOT / "specs", home / "specs")
    (home / "jobs").mkdir()
    outside = ("RECONCILER_", "CONTAINER_HOST", "DOCKER_HOST", "PYTHONPATH", "XDG_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(outside)}
    environment = kept | {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "RECONCILER_ENGINE": "process",
        "COLUMNS": "200",
        "NO_COLOR": "1",
        **more,
    }
    return Shell(home, environment)


def make_python(folder: Path, lent: Sequence[Path] = ()) -> Path:
    """An interpreter with ``reconciler`` beside it, and what the tests' own has; its path."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = next(folder.glob("lib/python*/site-packages"))
    paths = [str(ROOT), *map(str, lent), sysconfig.get_path("purelib")]
    (site / "lent.pth").write_text("\n".join(paths) + "\n")
    command = folder / "bin" / "reconciler"
    command.write_text(f'#!/bin/sh\nexec {python} -m reconciler "$@"\n')
    command.chmod(0o755)
    return python


def matches(expected: Sequence[str], output: str) -> bool:
    """Whether output is what a page shows: ``...`` for anything, blanks alike."""
    wanted = "\n".join(line.rstrip() for line in expected).strip()
    parts = [r"\s+".join(re.escape(word) for word in part.split()) for part in re.split(r"\.\.\.", wanted)]
    glued = []
    for place, part in enumerate(re.split(r"\.\.\.", wanted)):
        before = r"\s*" if part[:1].isspace() else ""
        after = r"\s*" if part[-1:].isspace() else ""
        glued.append(before + parts[place] + after)
    return re.fullmatch(r"\s*" + ".*?".join(glued) + r"\s*", output, re.DOTALL) is not None


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a ``console`` block, each with the lines shown after it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
        elif line.strip() or (found and found[-1][1]):
            assert found, f"output before any command: {line}"
            found[-1][1].append(line)
    return found


def python_version() -> tuple[int, int]:
    """Of the interpreter that runs the tests."""
    return sys.version_info[:2]
