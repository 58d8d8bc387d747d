"""Starts the supervisor: the engine's side of :mod:`reconciler.engines.process.supervisor.supervisor`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from reconciler.common.unicode_text import decode_json
from reconciler.engines.process.process_exec import ProcessExecSession
from reconciler.engines.process.supervisor.process_identity import LINUX
from reconciler.errors import EngineError

#: Seconds to wait for a supervisor's answer; it takes some 50 ms.
_ANSWER_TIMEOUT: Final = 60.0
#: Bytes of output that ``exec`` returns at most.
_OUTPUT_LIMIT: Final = 64 * 1024
#: Without site-packages and user settings; the package's folder comes last, so that it hides nothing.
_BOOT: Final = (
    f"import sys; sys.path.append({str(Path(__file__).parents[3])!r}); "
    "from reconciler.engines.process.supervisor.supervisor import main; main()"
)


def _command(mode: str, folder: Path, *rest: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _BOOT, mode, str(folder), *rest]


def _environment() -> dict[str, str]:
    """Returns only those of the daemon's variables without which the interpreter does not run."""
    return {k: os.environ[k] for k in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if k in os.environ}


def start(folder: Path) -> dict[str, Any]:
    """Starts the supervisor of a created container.

    Returns:
        Its answer: ``{"pid": …}``, or ``{"error": …}`` where the command could not be started.

    Raises:
        EngineError: the supervisor itself did not start.
    """
    with (folder / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            _command("run", folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
    try:
        output, _ = process.communicate(timeout=_ANSWER_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise EngineError(
            f"The supervisor of container {folder.name} did not answer within {_ANSWER_TIMEOUT:g} s.",
            remedy=f"See {folder / 'supervisor.log'}.",
        ) from None
    try:
        answer = decode_json(output)
    except ValueError:
        raise EngineError(
            f"The supervisor of container {folder.name} ended without an answer.",
            remedy=f"See {folder / 'supervisor.log'}.",
        ) from None
    return dict(answer)


def probe_mount_namespaces(state_dir: Path) -> str:
    """Returns why containers cannot have mount namespaces here; "" where they can."""
    if not LINUX:
        return f"{sys.platform} has no mount namespaces"
    with tempfile.TemporaryDirectory(dir=state_dir, prefix=".probe-") as folder:
        done = subprocess.run(
            _command("probe", Path(folder)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(),
            cwd="/",
            timeout=_ANSWER_TIMEOUT,
            check=False,
        )
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["the kernel refused"])[-1]


def open_session(folder: Path, command: tuple[str, ...], *, tty: bool, stdin: bool) -> ProcessExecSession:
    """Runs a command inside a running container, with input and output, for as long as it takes."""
    return ProcessExecSession(_command("exec", folder, *command), _environment(), tty=tty, stdin=stdin)


def execute(folder: Path, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
    """Runs a command inside a running container; returns exit status and output (64 KiB at most).

    Raises:
        EngineError: it took longer than ``timeout`` seconds; it and its group have been killed.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            _command("exec", folder, *command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise EngineError(
                f"{command[0]!r} in container {folder.name} took longer than {timeout:g} s and was ended."
            ) from None
        output.seek(0)
        return (code if code >= 0 else 128 - code), output.read(_OUTPUT_LIMIT)
