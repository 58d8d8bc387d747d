"""A machine with a real systemd: booted as PID 1 in a Podman container, with a user whose services linger.

This checkout and its interpreter are mounted where they are, so that the user's service runs what is under test.
The user's home is a folder of the host's under the same path, as it is for who runs the engine and the daemon on
one machine: what the daemon has mounted into a job's container, the engine finds.
A power cut kills the container; what the machine has on its disk is there when it boots again. What can go wrong:
no ``podman`` program, a host that lets no systemd boot in a container; then :class:`BootError` says so.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.support import images
from tests.support.workspaces import ROOT, eventually

USER = "u"
UID = 1000
RECONCILER = (sys.executable, "-m", "reconciler")
BOOT_SECONDS = 120.0


class BootError(Exception):
    """The machine does not come up; the message says why."""


@dataclass
class Machine:
    """See the module; ``url`` is the engine's that it runs on, ``home`` the user's home on the host."""

    url: str
    home: Path
    name: str = field(default_factory=lambda: f"reconciler-booted-{uuid.uuid4().hex[:6]}")

    def create(self, mounts: Sequence[Path]) -> None:
        """Make it and boot it; ``mounts`` appear under their own paths."""
        volumes = [f"--volume={self.home}:{self.home}", *(f"--volume={path}:{path}" for path in mounts)]
        read_only = [f"--volume={path}:{path}:ro" for path in _program()]
        self._podman(
            "run", "--detach", f"--name={self.name}", "--systemd=always", "--privileged", "--network=none",
            *volumes, *read_only, images.reference("systemd"), "/lib/systemd/systemd",
        )  # fmt: skip
        self._await()
        # The interpreter may be in root's home, which the user has to get through.
        self.root("chmod", "a+x", "/root")
        self.root("chown", f"{UID}:{UID}", str(self.home))
        self.root("usermod", f"--home={self.home}", USER)
        self.root("loginctl", "enable-linger", USER)
        self._await_user()

    def power_cut(self) -> None:
        """Everything in it ends at once, and it boots again."""
        self._podman("kill", "--signal=KILL", self.name)
        self._podman("start", self.name)
        self._await()
        self._await_user()

    def remove(self) -> None:
        """It goes, whatever state it is in."""
        # As root of the machine: the files are the user's there, who may be nobody here.
        self._podman("exec", self.name, "sh", "-c", f"rm -rf {self.home}/* {self.home}/.[!.]*", check=False)
        self._podman("rm", "--force", "--time=0", self.name, check=False)

    def root(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as root."""
        return self._exec((), command, check=check)

    def user(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, in a shell that has what a session has."""
        session = ("env", f"XDG_RUNTIME_DIR=/run/user/{UID}", f"HOME={self.home}", "COLUMNS=200")
        options = (f"--workdir={self.home}",)
        return self._exec(options, ("runuser", "-u", USER, "--", *session, *command), check=check)

    def reconciler(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``reconciler ARGUMENTS`` as the user."""
        return self.user(*RECONCILER, *arguments, check=check)

    def write(self, path: str, text: str) -> None:
        """Put a file of the user's there at once."""
        folder, part = path.rpartition("/")[0], f"{path}.part"
        script = 'mkdir -p "$1" && printf %s "$4" > "$2" && mv "$2" "$3"'
        self.user("sh", "-ec", script, "sh", folder, part, path, text)

    def status(self, manifest: str) -> dict[str, object]:
        """Of the job in a manifest, by its sidecar; empty while there is none."""
        path = Path(manifest).with_suffix(".status.yaml")
        text = path.read_text() if path.exists() else ""
        documents = [d for d in yaml.safe_load_all(text) if d and d["kind"] == "TrainJob"]
        return dict(documents[0]["status"]) if documents else {}

    def until_phase(self, manifest: str, phase: str, *, seconds: float = 120.0) -> dict[str, object]:
        """Wait for the phase of the job in a manifest; the status then."""

        def look() -> bool:
            return self.status(manifest).get("phase") == phase

        try:
            eventually(look, f"{manifest} in {phase}", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status(manifest)}\n{self.journal()}") from None
        return self.status(manifest)

    def property(self, unit: str, name: str) -> str:
        """A property of a unit of the user's."""
        return self.user("systemctl", "--user", "show", unit, f"--property={name}", "--value").stdout.strip()

    def journal(self) -> str:
        """What the user's services have said last."""
        return self.user(
            "journalctl", "--user", "--no-pager", "--lines=60", "--output=cat", check=False
        ).stdout

    def _await(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            state = self.root("systemctl", "is-system-running", check=False).stdout.strip()
            if state in {"running", "degraded"}:
                return
            if time.monotonic() > deadline:
                logs = self._podman("logs", self.name, check=False)
                raise BootError(f"systemd does not boot in a container ({state}): {logs.stdout[-2000:]}")
            time.sleep(0.1)

    def _await_user(self) -> None:
        def state() -> str:
            return self.user("systemctl", "--user", "is-system-running", check=False).stdout.strip()

        up = {"running", "degraded"}
        eventually(lambda: state() in up, "the user's service manager", seconds=BOOT_SECONDS)

    def _exec(
        self, options: Sequence[str], command: Sequence[str], *, check: bool
    ) -> subprocess.CompletedProcess[str]:
        """What it prints comes by files in the home: from a busy Podman's socket it is lost now and then."""
        said = self.home / f".said-{uuid.uuid4().hex}"
        script = 'said=$1; shift; exec "$@" > "$said.out" 2> "$said.err"'
        done = self._podman(
            "exec", *options, self.name, "sh", "-c", script, "sh", str(said), *command, check=False
        )
        done.stdout = _taken(Path(f"{said}.out")) or done.stdout
        done.stderr = _taken(Path(f"{said}.err")) or done.stderr
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def _podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        try:
            done = subprocess.run(
                ("podman", f"--url={self.url}", *arguments),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=300, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise BootError("the podman program is not installed") from None
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done


def _taken(file: Path) -> str:
    """Its text; the file is gone then."""
    if not file.exists():
        return ""
    text = file.read_text(errors="replace")
    file.unlink()
    return text


def _program() -> list[Path]:
    """What has to be in the machine to run this checkout with this interpreter."""
    prefix = Path(sys.base_prefix).resolve()
    found = {ROOT, Path(sys.prefix), prefix}
    # The image has a Python of its own there.
    found.discard(Path("/usr"))
    return sorted(p for p in found if not any(p != other and p.is_relative_to(other) for other in found))


@contextlib.contextmanager
def booted(url: str, mounts: Sequence[Path] = ()) -> Iterator[Machine]:
    """A running machine for the length of a ``with`` block.

    Raises:
        BootError: it does not come up.
        ImageMissing: its image can't be made.
    """
    images.ensure_image("podman", "systemd", url=url)
    home = Path(tempfile.mkdtemp(prefix="booted-", dir="/var/tmp"))
    home.chmod(0o755)
    machine = Machine(url, home)
    try:
        machine.create(mounts)
        yield machine
    finally:
        machine.remove()
        shutil.rmtree(home, ignore_errors=True)
