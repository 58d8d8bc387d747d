"""Rootless Podman for tests: a user made for it, that user's own service, and programs run as that user.

The suite of an engine can be run as it is by such a user (:func:`run_pytest`), so paths, file owners and the daemon
are an ordinary user's too, not only the containers. The user stays (its image store is worth keeping);
``python -m tests.support.rootless remove`` takes user and files away again.

The user sees root's Python, and a usable ``/dev/net/tun``, through mounts of its own
(:mod:`tests.support.room`). What can go wrong: no root, no ``useradd``, no subordinate ids, no mounts allowed; then
:class:`~tests.support.engines.EngineMissing` says which, and the tests are skipped with that reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import engines, images

KIND = "podman-rootless"
NAME = os.environ.get("RECONCILER_TEST_USER", "reconciler-test")
ROOT = Path(__file__).parents[2]
ROOM = Path(__file__).with_name("room.py")
#: Native overlay mounts in a user namespace came with this kernel.
OVERLAY_KERNEL = (5, 13)
NEEDED = ("podman", "useradd", "newuidmap", "slirp4netns", "unshare", "nsenter")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CDI = Path("/etc/cdi")


@dataclass(frozen=True, kw_only=True)
class User:
    """The user that tests run as.

    Attributes:
        run: its folder for sockets and scratch, closed to others.
    """

    name: str
    uid: int
    gid: int
    home: Path
    run: Path

    @property
    def url(self) -> str:
        """Of its Podman service."""
        return f"unix://{self.run / 'podman.sock'}"

    @property
    def environment(self) -> dict[str, str]:
        """Of a log-in, and nothing of root's."""
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "PATH": PATH,
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.run / "run"),
            "RECONCILER_TEST_RUN": str(self.run),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def ensure_user() -> User:
    """The user, made unless it is there.

    Raises:
        EngineMissing: this is not root, or a program for it is missing.
    """
    if os.getuid() != 0:
        raise engines.EngineMissing(
            "only root can make another user (run by an ordinary user, the tests of Podman are rootless themselves)"
        )
    lacking = [program for program in NEEDED if shutil.which(program, path=PATH) is None]
    if lacking:
        raise engines.EngineMissing(f"not installed: {', '.join(lacking)}")
    with contextlib.suppress(KeyError):
        return _user(pwd.getpwnam(NAME))
    command = ("useradd", "--create-home", "--user-group", "--shell", "/bin/sh", NAME)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": PATH})
    if done.returncode != 0:
        raise engines.EngineMissing(f"the user {NAME} can't be made: {done.stderr.strip()}")
    return _user(pwd.getpwnam(NAME))


def _user(entry: pwd.struct_passwd) -> User:
    for table in ("/etc/subuid", "/etc/subgid"):
        path = Path(table)
        owners = {line.split(":")[0] for line in path.read_text().splitlines()} if path.exists() else set()
        if not owners & {entry.pw_name, str(entry.pw_uid)}:
            raise engines.EngineMissing(f"{entry.pw_name} has no range in {table}: useradd gave none")
    return User(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        home=Path(entry.pw_dir),
        run=Path(f"/tmp/reconciler-test-{entry.pw_uid}"),
    )


def ensure_engine(image: str | None = "base") -> User:
    """The user, with a running Podman service of its own that has the image.

    Raises:
        EngineMissing: it can't be had here; the message says why.
        ImageMissing: the image can't be made.
    """
    with engines.locked(f"{KIND}.start.lock"):
        user = ensure_user()
        if not engines.answers(user.url, "podman"):
            _start(user)
    if image:
        images.ensure_image("podman", image, url=user.url)
    return user


def _start(user: User) -> None:
    _end_processes(user)
    runtime = user.run / "run"
    # What an earlier boot left there would be believed.
    shutil.rmtree(runtime, ignore_errors=True)
    (user.run / "podman.sock").unlink(missing_ok=True)
    config = user.home / ".config" / "containers"
    cache = user.home / ".cache" / "reconciler-test"
    for folder in (user.run, runtime, user.run / "cdi", user.home / ".config", config, cache.parent, cache):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        os.chown(folder, user.uid, user.gid)
    CDI.mkdir(exist_ok=True)
    (config / "containers.conf").write_text(engines.CONTAINERS_CONF)
    kernel = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
    drivers = ("overlay", "vfs") if kernel >= OVERLAY_KERNEL else ("vfs",)
    for driver in drivers:
        (config / "storage.conf").write_text(f'[storage]\ndriver = "{driver}"\n')
        try:
            _serve(user)
        except engines.EngineMissing:
            if driver == drivers[-1]:
                raise
        else:
            return


def _serve(user: User) -> None:
    """The service, in mounts that hold what every program of the user shares with its containers."""
    room = {
        "env": user.environment | engines.WITHOUT_PACKAGES,
        "nodes": {"tun": "/dev/net/tun"},
        "devices": str(user.run / "dev"),
        # conmon leaves a file "oom" where the service was started.
        "cwd": str(user.run),
        "binds": [[str(user.run / "cdi"), str(CDI)]],
    }
    command = ["podman", "system", "service", "--time=0", user.url]
    log = engines.RUN_DIR / f"{KIND}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            _in_room(user, command, room=room),
            cwd=user.run,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    (engines.RUN_DIR / f"{KIND}.started").write_text(str(process.pid))
    engines.start_watcher()
    engines.await_answer(KIND, user.url, process, log)


def _in_room(user: User, command: Sequence[str], *, room: Mapping[str, object]) -> list[str]:
    """The command line that runs a command as the user in mounts of its own."""
    whole = {"user": user.name, "env": user.environment, **room}
    return [
        "unshare", "--mount", "--propagation", "slave", "--",
        sys.executable, "-I", str(ROOM), json.dumps(whole), *command,
    ]  # fmt: skip


def command(user: User, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """The command line that runs ``arguments`` as the user, beside its service, with this Python in sight."""
    service = (engines.RUN_DIR / f"{KIND}.started").read_text()
    prefixes = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT}
    room = {
        "visible": [str(path) for path in sorted(prefixes)],
        "cwd": str(ROOT),
        # Not for the service itself: it would take the address for a remote one's.
        "env": user.environment | {"CONTAINER_HOST": user.url} | dict(environment or {}),
    }
    return ["nsenter", f"--mount=/proc/{service}/ns/mnt", "--", *_in_room(user, arguments, room=room)]


@contextlib.contextmanager
def scratch(user: User) -> Iterator[Path]:
    """A folder of the user's, removed at the end with all that its containers left there."""
    folder = user.run / f"w-{os.getpid()}-{time.monotonic_ns() % 10**9}"
    folder.mkdir()
    os.chown(folder, user.uid, user.gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def share_site(user: User, site: Path) -> None:
    """Give the user's tests PyTorch where they look for it: root's files, linked into the user's own cache."""
    target = user.home / ".cache" / "reconciler-test" / site.name
    with engines.locked(f"{KIND}.site.lock"):
        if target.is_dir() and not target.is_symlink():
            return
        target.unlink(missing_ok=True)
        part = target.with_name(f"{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            shutil.copytree(site, part, symlinks=True, copy_function=os.link)
        except (OSError, shutil.Error):  # another disk
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(site, part, symlinks=True)
        part.rename(target)


def stop(pid: int) -> None:
    """End the service, and what containers and Podman itself left running for the user."""
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        if b"podman" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(KeyError, engines.EngineMissing):
        user = _user(pwd.getpwnam(NAME))
        _end_processes(user)
        (user.run / "podman.sock").unlink(missing_ok=True)


def _end_processes(user: User) -> None:
    """End every process of the user and of its subordinate ids: the user exists for the tests alone."""
    deadline = time.monotonic() + 20
    while (running := _processes(user)) and time.monotonic() < deadline:
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes(user: User) -> list[int]:
    found = []
    ids = {user.uid}
    for line in Path("/etc/subuid").read_text().splitlines():
        owner, first, count = line.split(":")
        if owner in {user.name, str(user.uid)}:
            ids.update(range(int(first), int(first) + int(count)))
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if entry.stat().st_uid in ids and (entry / "stat").read_text().rsplit(") ", 1)[1][0] != "Z":
                found.append(int(entry.name))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """``start`` the service, ``stop`` it, or ``remove`` the user; ``run COMMAND...`` as the user."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.rootless", description=main.__doc__)
    parser.add_argument("action", choices=("start", "stop", "remove", "run"))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    mark = engines.RUN_DIR / f"{KIND}.started"
    if options.action in {"start", "run"}:
        user = ensure_engine()
        if options.action == "run":
            return subprocess.run(command(user, options.command), cwd=user.run, check=False).returncode
        print(user.url)
        return 0
    if mark.exists():
        stop(int(mark.read_text()))
        mark.unlink(missing_ok=True)
    if options.action == "remove":
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(NAME)
            subprocess.run(("userdel", "--remove", NAME), check=True, env={"PATH": PATH}, capture_output=True)
            shutil.rmtree(f"/tmp/reconciler-test-{entry.pw_uid}", ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
