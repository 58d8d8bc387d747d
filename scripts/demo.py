#!/usr/bin/env python3
"""The demonstration: three nodes train a classifier with PyTorch DDP, followed from start to end.

It does what a newcomer would do by hand: a folder with a manifest, ``reconciler run --wait``, ``reconciler
get jobs``. Everything it makes is under ``.demo/``; a second run starts the job afresh. What can go wrong: no
network to fetch an image or PyTorch from. The engine is printed with the reason for the choice, and a failure
ends with what to look at.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "specs" / "examples" / "digits-ddp.yaml"
DEMO = ROOT / ".demo"
SPECS = DEMO / "specs"
JOB = "digits-ddp"
NODES = 3
TORCH = "torch==2.13.0"
#: A pull that says nothing for this long is given up (seconds).
PULL_PATIENCE = 30.0
POLL_SECONDS = 0.2

EPOCH = re.compile(r"^epoch=(?P<epoch>\d+) loss=(?P<loss>[0-9.]+) accuracy=(?P<accuracy>[0-9.]+)\s*$")

console = Console(highlight=False, soft_wrap=True)


@dataclass
class Choice:
    """The engine to use, and why."""

    engine: str
    why: str


def main() -> int:
    """Run the demonstration; the exit status is that of ``reconciler run --wait``."""
    # A command that CI or `timeout` ends by TERM must take the daemon with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    environment = _environment()
    fresh = _write_specs()
    choice = _choose_engine(environment)
    console.print(f"[bold]Engine:[/] {choice.engine} ({choice.why})")
    if choice.engine == "process" and not _have_torch():
        return 1
    if not fresh:
        _reconciler(environment, "rerun", JOB, "--specs", str(SPECS), quiet=True)
    started = time.monotonic()
    status = _run(environment, choice.engine)
    took = time.monotonic() - started
    return _report(environment, status, took)


def _environment() -> dict[str, str]:
    """The caller's, with state and logs under ``.demo/`` and none of the caller's own settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RECONCILER_") or name == "RECONCILER_CONTAINER_HOST"
    }
    return kept | {
        "XDG_STATE_HOME": str(DEMO / "state"),
        "RECONCILER_LOG_DIR": str(DEMO / "logs"),
        "RECONCILER_LOG_FORMAT": "console",
        "COLUMNS": os.environ.get("COLUMNS") or str(console.width),
    }


def _write_specs() -> bool:
    """Copy the example; whether no earlier run of it is known."""
    SPECS.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(EXAMPLE, SPECS / EXAMPLE.name)
    return not any(SPECS.glob("*.status.yaml"))


# --- which engine -----------------------------------------------------------------------------------


def _choose_engine(environment: Mapping[str, str]) -> Choice:
    """Docker or Podman where one answers and has or gets the image; else processes of this machine."""
    wanted = os.environ.get("ENGINE", "").strip().lower()
    if wanted and wanted != "auto":
        return Choice(wanted, "you asked for it by ENGINE")
    image = _image(environment)
    reasons = []
    for kind in ("docker", "podman"):
        engine, reason = _connect(kind)
        if engine is None:
            reasons.append(reason)
            continue
        try:
            if engine.image_exists(image):
                return Choice(kind, f"it answers and has the image {image}")
            problem = _pull(engine, kind, image)
            if not problem:
                return Choice(kind, f"it answers and got the image {image}")
            console.print(f"  [yellow]{escape(problem)}[/]")
            reasons.append(f"{kind.capitalize()} answers but cannot get the image")
        finally:
            engine.close()
    return Choice("process", f"nodes are processes of this machine: {', '.join(reasons)}")


def _connect(kind: str) -> tuple[Any, str]:
    from reconciler.engines.discovery.selection import connect  # noqa: PLC0415  (brings the engines' clients)
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    try:
        engine = connect(kind, os.environ.get("RECONCILER_CONTAINER_HOST"))
        engine.info()
    except ReconcilerError:
        return None, f"no {kind.capitalize()} answers"
    return engine, ""


def _image(environment: Mapping[str, str]) -> str:
    """The image that the example's nodes would use."""
    text = _reconciler(environment, "plan", str(SPECS / EXAMPLE.name), "-o", "yaml", quiet=True)
    plan = yaml.safe_load(text)
    return str(plan["jobs"][0]["containers"][0]["image"])


@dataclass
class _Pull:
    """What the pulling thread shares with the waiting one."""

    heard: float = field(default_factory=time.monotonic)
    message: str = ""
    error: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    def progress(self, progress: Any) -> None:
        self.heard = time.monotonic()
        megabytes = (
            f"{progress.current / 1e6:,.0f} of {progress.total / 1e6:,.0f} MB " if progress.total else ""
        )
        self.message = f"{megabytes}{progress.message}"


def _pull(engine: Any, kind: str, image: str) -> str:
    """Pull, showing progress; returns what went wrong, empty for nothing."""
    from reconciler.errors import EngineError  # noqa: PLC0415

    state = _Pull()

    def work() -> None:
        try:
            engine.pull_image(image, auth=None, progress=state.progress)
        except EngineError as error:
            state.error = str(error)
        finally:
            state.done.set()

    console.print(f"{kind} pulls {image}: some GB, once. (Without it: make demo ENGINE=process)")
    # A daemon thread: a pull that hangs must not keep the demonstration from going on, or from ending.
    threading.Thread(target=work, daemon=True, name="pull").start()
    with console.status("pulling") as line:
        while not state.done.wait(POLL_SECONDS):
            line.update(f"pulling {state.message}")
            if time.monotonic() - state.heard > PULL_PATIENCE:
                return f"nothing came from the registry for {PULL_PATIENCE:.0f} seconds"
    return state.error


def _have_torch() -> bool:
    """PyTorch in this environment, installed when it is missing."""
    probe = "import numpy, sklearn, torch.distributed as d, sys; sys.exit(not d.is_available())"
    if subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False).returncode == 0:
        return True
    console.print("Installing PyTorch (CPU), numpy and scikit-learn into the environment: about 250 MB, once")
    command = [sys.executable, str(ROOT / "scripts" / "torch_cpu.py"), TORCH, "numpy", "scikit-learn"]
    if subprocess.run(command, check=False).returncode == 0:
        return True
    console.print("[red]PyTorch could not be installed.[/] Is the network, or pip's index, reachable?")
    return False


# --- the run ----------------------------------------------------------------------------------------


def _run(environment: Mapping[str, str], engine: str) -> int:
    """``reconciler run --wait``, with its log in a file and what matters shown as it happens."""
    command = ["run", "--specs", str(SPECS), "--engine", engine, "--wait"]
    console.print(f"[bold]$ reconciler {' '.join(_short(part) for part in command)}[/]")
    log = DEMO / "reconciler.log"
    old = set(_logs())
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *command],
            env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    follower = _Follower(old)
    try:
        while process.poll() is None:
            follower.show()
            time.sleep(POLL_SECONDS)
        follower.show()
    finally:
        _end(process)
    return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


class _Follower:
    """Prints phases and messages from the job's status, and node 0's log, once each."""

    def __init__(self, old: set[Path]) -> None:
        self._old = old
        self._before = _status()
        self._phase = ""
        self._events = {_event_key(event) for event in self._before.get("events") or []}
        self._log: Path | None = None
        self._offset = 0

    def show(self) -> None:
        status = _status()
        if status == self._before:  # of the run before this one
            return
        for event in status.get("events") or []:
            key = _event_key(event)
            if key not in self._events:
                self._events.add(key)
                if event.get("type") == "Warning":
                    console.print(f"  [yellow]{escape(key[1])}[/]")
        self._show_log()
        phase = status.get("phase", "")
        if phase and phase != self._phase:
            self._phase = phase
            console.print(f"  {JOB}: [cyan]{phase}[/]")

    def _show_log(self) -> None:
        if self._log is None:
            new = [path for path in _logs() if path.name == f"{JOB}-node-0.log" and path not in self._old]
            if not new:
                return
            self._log = max(new, key=lambda path: path.stat().st_mtime)
        with self._log.open("rb") as file:
            file.seek(self._offset)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        for line in complete.decode(errors="replace").splitlines():
            if line.strip():
                console.print(f"    [dim]node 0 |[/] {escape(line)}")


def _event_key(event: Mapping[str, Any]) -> tuple[str, str]:
    return str(event.get("time", "")), str(event.get("message", ""))


def _status() -> Mapping[str, Any]:
    """The job's status as the sidecar has it; empty before there is one."""
    try:
        text = (SPECS / EXAMPLE.name).with_suffix(".status.yaml").read_text()
    except FileNotFoundError:
        return {}
    for document in yaml.safe_load_all(text):
        if document and document.get("kind") == "TrainJob":
            return document.get("status") or {}
    return {}


def _logs() -> Iterator[Path]:
    return (DEMO / "logs").glob("**/*.log")


# --- the end ----------------------------------------------------------------------------------------


def _report(environment: Mapping[str, str], status: int, took: float) -> int:
    """Status table, loss and accuracy by epoch, where the logs are."""
    console.print()
    console.print("[bold]$ reconciler get jobs -o wide --specs .demo/specs[/]")
    _reconciler(environment, "get", "jobs", "-o", "wide", "--specs", str(SPECS))
    logs = {
        node.get("rank"): Path(str(node["log"])) for node in _status().get("nodes") or [] if node.get("log")
    }
    if status != 0:
        console.print(f"\n[red]The job did not complete[/] (exit status {status}). To look into it:")
        console.print(f"  reconciler describe {JOB} --specs .demo/specs")
        console.print(f"  the daemon's own log: {_short(DEMO / 'reconciler.log')}")
        _tail(DEMO / "reconciler.log")
    else:
        status = _figures(logs)
        console.print(f"\nTrained on {NODES} nodes in {took:.0f} s.")
    console.print("[bold]Logs:[/]")
    for rank, path in sorted(logs.items()):
        console.print(f"  node {rank}: {_short(path)}")
    console.print(f"  daemon: {_short(DEMO / 'reconciler.log')}")
    console.print(f"Status: {_short((SPECS / EXAMPLE.name).with_suffix('.status.yaml'))}")
    return status


def _figures(logs: Mapping[int, Path]) -> int:
    """The table of epochs; 1 when the nodes do not agree on every figure, as all-reduced ones must."""
    epochs = {rank: _epochs(path) for rank, path in logs.items()}
    console.print("\n[bold]Loss and accuracy of all nodes together:[/]")
    table = Table()
    for heading in ("epoch", "loss", "accuracy"):
        table.add_column(heading, justify="right")
    for epoch, loss, accuracy in epochs.get(0, []):
        table.add_row(epoch, f"{float(loss):.4f}", f"{float(accuracy):.1%}")
    console.print(table)
    if len(epochs) != NODES or len(set(map(tuple, epochs.values()))) != 1 or not epochs.get(0):
        console.print("[red]The nodes' logs do not show the same figures.[/]")
        return 1
    return 0


def _epochs(path: Path) -> list[tuple[str, str, str]]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [m.group("epoch", "loss", "accuracy") for line in lines if (m := EPOCH.match(line))]


def _tail(path: Path, count: int = 12) -> None:
    for line in path.read_text(errors="replace").splitlines()[-count:]:
        console.print(f"    {line}", markup=False)


def _reconciler(environment: Mapping[str, str], *arguments: str, quiet: bool = False) -> str:
    """Run a command of the reconciler; its output, shown unless ``quiet``."""
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, check=False, text=True,
        stdout=subprocess.PIPE if quiet else None,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"`reconciler {' '.join(arguments)}` ended with {done.returncode}")
    return done.stdout or ""


def _short(path: object) -> str:
    return str(path).removeprefix(f"{ROOT}/")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        console.print("\nStopped. `make demo` starts the job afresh.")
        sys.exit(130)
