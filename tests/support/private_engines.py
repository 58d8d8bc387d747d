"""An engine of one test's own, that may be killed and started again without harm to anybody else's.

Podman keeps nothing in its service, so a private one is a service on the common store with a socket of its own.
A private Docker has its own store and its own network namespace, and leaves the host's firewall alone: two daemons
that manage the same bridges undo each other's work. What can go wrong: as for :mod:`tests.support.engines`, and
no ``unshare`` or ``ip`` (util-linux, iproute2).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.support import engines

START_SECONDS = 120.0
E = TypeVar("E", bound="PrivateEngine")
#: Where a private Docker's networks come from: ranges that nothing else here uses.
ADDRESSES = "10.201.0.0/16"
#: A network namespace of its own: a Docker that starts after a crash would remove the machine's ``docker0``.
OWN_NETWORK = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$0" "$@"')


@dataclass
class PrivateEngine:
    """A service that this test alone uses."""

    kind: str
    folder: Path
    store: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Of its socket."""
        return f"unix://{self.folder / 'engine.sock'}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            EngineMissing: it does not.
        """
        program = {"podman": "podman", "docker": "dockerd"}[self.kind]
        executable = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if executable is None:
            raise engines.EngineMissing(f"{program} is not installed")
        if self.kind == "docker" and os.getuid() != 0:
            raise engines.EngineMissing("only root can start dockerd")
        log = self.folder / "engine.log"
        deadline = time.monotonic() + START_SECONDS
        self._spawn(executable, log)
        while not engines.answers(self.url, self.kind):
            if time.monotonic() > deadline:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
                raise engines.EngineMissing(f"a private {self.kind} does not start:\n{tail}")
            if self.process is not None and self.process.poll() is not None:
                # On a busy machine dockerd gives up on its containerd after fifteen seconds.
                self._spawn(executable, log)
            time.sleep(0.05)

    def _spawn(self, executable: str, log: Path) -> None:
        (self.folder / "docker.pid").unlink(missing_ok=True)
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command(executable),
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End the service as a crash would; containers are the engine's own business."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.kill()

    def sweep(self) -> None:
        """Remove what a Docker that could not be stopped in good order leaves: shims, containers, mounts."""
        if self.kind != "docker":
            return
        for shim in _mentioning(str(self.folder)):
            for child in _children(shim):
                _end(child)
            _end(shim)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in reversed(mounts):
            if place.startswith((str(self.folder), str(self.store))):
                subprocess.run(["umount", "-l", place], check=False, capture_output=True)

    def _command(self, executable: str) -> tuple[str, ...]:
        if self.kind == "podman":
            return (executable, "system", "service", "--time=0", self.url)
        return (
            *OWN_NETWORK,
            executable,
            f"--host={self.url}",
            f"--data-root={self.store}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'docker.pid'}",
            "--iptables=false",
            "--ip-masq=false",
            f"--default-address-pool=base={ADDRESSES},size=28",
        )

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, **engines.WITHOUT_PACKAGES}
        if self.kind == "podman" and not Path("/run/systemd/system").exists():
            conf = self.folder / "containers.conf"
            conf.write_text(engines.CONTAINERS_CONF)
            environment["CONTAINERS_CONF"] = str(conf)
        return environment


def _mentioning(text: str) -> list[int]:
    """Processes that have the text, a folder of this test's own, in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def private_engine(kind: str, make: type[E] = PrivateEngine) -> Iterator[E]:  # type: ignore[assignment]
    """A running engine for the length of a ``with`` block.

    Raises:
        EngineMissing: this machine has none, or it does not start.
    """
    engines.CACHE_DIR.mkdir(parents=True, exist_ok=True)
    # The socket's path must be short; the store may be on no file system that is itself a layer.
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
    store = Path(tempfile.mkdtemp(prefix="private-", dir=engines.CACHE_DIR))
    engine = make(kind, folder, store)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        engine.sweep()
        shutil.rmtree(store, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
