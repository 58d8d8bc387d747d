"""The end of a process whose main thread never comes back."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.dead_file_systems import dead_file_system

PROGRAM = """
import os, signal, sys, threading
from reconciler.controller.daemon.signals import EndGuard, SignalFlags, install_handlers
guard = EndGuard(seconds=float(sys.argv[2]))
guard.watch()
install_handlers(threading.Event(), SignalFlags(), reloads=False)
print("up", flush=True)
os.stat(sys.argv[1])
"""


@contextlib.contextmanager
def started(path: Path, seconds: float) -> Iterator[subprocess.Popen[str]]:
    """The program, which has nothing more to do than to wait for ever."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def test_term_ends_it_after_its_time(tmp_path: Path) -> None:
    with dead_file_system(tmp_path / "dead") as dead, started(dead.path, 0.5) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
        assert process.stdout is not None
        assert "shutdown forced" in process.stdout.read()


def test_a_second_signal_ends_it_too(tmp_path: Path) -> None:
    with dead_file_system(tmp_path / "dead") as dead, started(dead.path, 1) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        # Of two that are pending at once the kernel chooses which one comes first.
        assert process.wait(timeout=60) % 128 in {signal.SIGINT, signal.SIGTERM, 128 - signal.SIGTERM}
