"""The end of a process whose main thread never comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
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


def start(path: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_term_ends_it_after_its_time(tmp_path: Path) -> None:
    with dead_file_system(tmp_path / "dead") as dead, start(dead.path, 0.5) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {-signal.SIGTERM, 128 + signal.SIGTERM}
        assert process.stdout is not None
        assert "shutdown forced" in process.stdout.read()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with dead_file_system(tmp_path / "dead") as dead, start(dead.path, 600) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in {-signal.SIGTERM, 128 + signal.SIGTERM}
