"""Container engines for tests: reuse what answers, otherwise start one and share it.

Several test sessions and their workers run side by side, so an engine started here belongs to none of
them: it is started under a file lock, detached, and found again by its socket. Whoever uses one holds a
shared lock on ``users.lock``; the last one out stops what was started here. A session that is killed lets go
without a word: so a watcher, started with the first engine, waits until nobody holds the lock and does the
same. ``python -m tests.support.engines start`` keeps them until ``stop``.

Importable without pytest. What can go wrong: no root (Docker can't be started), no kernel support; then
:class:`EngineMissing` says so and tests that need the engine are skipped with that reason.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

KINDS = ("podman", "docker")

#: Sockets live here: short, because a socket's path may have at most 107 bytes.
RUN_DIR = Path(os.environ.get("RECONCILER_TEST_RUN", f"/tmp/reconciler-test-{os.getuid()}"))
CACHE_DIR = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "reconciler-test"

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
#: For a Podman service: on each /info it has dpkg look up the packages of its helpers, half a second of work.
WITHOUT_PACKAGES = {"DPKG_ADMINDIR": "/nonexistent"}

#: For machines without systemd (a container, a CI runner): the cgroup mount is hybrid, which crun refuses,
#: and CAP_SYS_RESOURCE is missing, so Podman's default limits can't be raised. Soft and hard are equal
#: because Podman 4.3's API swaps them.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


class EngineMissing(Exception):  # noqa: N818  (a state of the world, not a mistake)
    """This machine has no such engine and none can be started; the message says why."""


#: How many times this process is in :func:`using_engines`.
_uses: list[None] = []


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def answers(url: str, kind: str) -> bool:
    """Whether an engine of this kind answers at a ``unix://`` URL."""
    path = url.removeprefix("unix://")
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/libpod/_ping" if kind == "podman" else "/_ping")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    else:
        is_podman = response.getheader("Libpod-API-Version") is not None
        return response.status == 200 and is_podman == (kind == "podman")
    finally:
        connection.close()


def own_socket(kind: str) -> str:
    """URL of the socket of an engine started here."""
    return f"unix://{RUN_DIR / kind}.sock"


def candidates(kind: str) -> list[str]:
    """Where an engine of this kind may already answer, the best first."""
    variable = "CONTAINER_HOST" if kind == "podman" else "DOCKER_HOST"
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    found = [os.environ.get(variable, ""), own_socket(kind)]
    if kind == "podman":
        found += [f"unix://{runtime}/podman/podman.sock", "unix:///run/podman/podman.sock"]
    else:
        found += ["unix:///var/run/docker.sock", f"unix://{runtime}/docker.sock"]
    return [url for url in found if url.startswith("unix://")]


@contextlib.contextmanager
def locked(name: str, how: int = fcntl.LOCK_EX) -> Iterator[IO[str]]:
    RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (RUN_DIR / name).open("a+") as file:
        fcntl.flock(file, how)
        yield file


def ensure_engine(kind: str) -> str:
    """URL of an engine of this kind; starts one when none answers.

    Raises:
        EngineMissing: there is none and it can't be started; the message says why.
    """
    for url in candidates(kind):
        if answers(url, kind):
            return url
    with locked(f"{kind}.start.lock"):
        url = own_socket(kind)
        if not answers(url, kind):
            _start(kind, url)
        return url


def _start(kind: str, url: str) -> None:
    program = {"podman": "podman", "docker": "dockerd"}[kind]
    executable = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if executable is None:
        raise EngineMissing(f"{program} is not installed")
    if kind == "docker" and os.getuid() != 0:
        raise EngineMissing("no Docker answers, and only root can start dockerd")
    environment = {**os.environ, **WITHOUT_PACKAGES}
    if kind == "podman":
        command: Sequence[str] = (executable, "system", "service", "--time=0", url)
        if not Path("/run/systemd/system").exists():
            conf = RUN_DIR / "containers.conf"
            conf.write_text(CONTAINERS_CONF)
            environment["CONTAINERS_CONF"] = str(conf)
    else:
        data = CACHE_DIR / "docker"
        data.mkdir(parents=True, exist_ok=True)
        command = (
            executable,
            f"--host={url}",
            f"--data-root={data}",
            f"--exec-root={RUN_DIR / 'docker-exec'}",
            f"--pidfile={RUN_DIR / 'docker.pid'}",
        )
        (RUN_DIR / "docker.pid").unlink(missing_ok=True)
    log = RUN_DIR / f"{kind}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            # conmon leaves a file "oom" where the service was started.
            cwd=RUN_DIR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (RUN_DIR / f"{kind}.started").write_text(str(process.pid))
    await_answer(kind, url, process, log)
    start_watcher()


def start_watcher() -> None:
    """Starts what stops the engines when every user of them has been killed, if there is one by now."""
    if not _uses:
        return
    subprocess.Popen(
        (sys.executable, "-m", "tests.support.engines", "watch"),
        cwd=ROOT,
        env={**os.environ, "RECONCILER_TEST_RUN": str(RUN_DIR)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def await_answer(kind: str, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for an engine that was just started.

    Raises:
        EngineMissing: it ended, or did not answer in time; the message has the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while not answers(url, kind.partition("-")[0]):
        if process.poll() is not None or time.monotonic() > deadline:
            if process.poll() is None:
                process.terminate()
            (RUN_DIR / f"{kind}.started").unlink(missing_ok=True)
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise EngineMissing(f"{kind} does not start ({log}):\n{tail}")
        time.sleep(0.05)


@contextlib.contextmanager
def using_engines() -> Iterator[None]:
    """Hold the engines while in use; on leaving, the last user stops those that were started here."""
    with locked("users.lock", fcntl.LOCK_SH) as file:
        _uses.append(None)
        try:
            yield
        finally:
            _uses.pop()
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not (RUN_DIR / "keep").exists():
                    stop_engines()


def watch() -> None:
    """Wait until nobody uses the engines; stop them unless they are to be kept.

    While it waits for the lock others may still share it.
    """
    with locked("users.lock", fcntl.LOCK_EX):
        if not (RUN_DIR / "keep").exists():
            stop_engines()


def stop_engines() -> None:
    """Stop the engines that were started here (never one that was already there)."""
    for kind in (*KINDS, "podman-rootless"):
        mark = RUN_DIR / f"{kind}.started"
        if not mark.exists():
            continue
        if kind == "podman-rootless":
            from tests.support import rootless  # noqa: PLC0415  (which needs this module)

            rootless.stop(int(mark.read_text()))
        else:
            _stop(int(mark.read_text()), kind)
        mark.unlink(missing_ok=True)
        (RUN_DIR / f"{kind}.sock").unlink(missing_ok=True)


def _stop(pid: int, kind: str) -> None:
    program = {"podman": b"podman", "docker": b"dockerd"}[kind]
    deadline = time.monotonic() + 30
    try:
        # The number may be somebody else's by now.
        if program not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return


def main(arguments: Sequence[str] | None = None) -> int:
    """``start`` prints shell exports of what runs now; ``stop`` ends what was started here.

    ``watch`` is for this module's own use.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.support.engines", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "watch"))
    parser.add_argument("kinds", nargs="*", metavar="podman|docker", help="default: both")
    options = parser.parse_args(arguments)
    RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    if options.action == "watch":
        watch()
        return 0
    if options.action == "stop":
        (RUN_DIR / "keep").unlink(missing_ok=True)
        stop_engines()
        return 0
    (RUN_DIR / "keep").touch()
    status = 0
    for kind in options.kinds or KINDS:
        try:
            url = ensure_engine(kind)
        except EngineMissing as error:
            print(f"# {kind}: {error}".replace("\n", "\n# "), file=sys.stderr)
            status = 1
        else:
            print(f"export {'CONTAINER_HOST' if kind == 'podman' else 'DOCKER_HOST'}={url}")
    return status


if __name__ == "__main__":
    sys.exit(main())
