"""A specs folder, an engine and the ``reconciler`` command, for tests that look from outside.

Everything of a test is under its own folder and its own ``instance`` label, so tests may run side by side on
one engine; :meth:`Workspace.clean` removes what is left there without asking the code under test (both
engines speak Docker's API).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
import yaml

from reconciler import names
from tests.support.images import CACHE_DIR
from tests.support.manifests import LOADER

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
#: The interpreter whose ``reconciler`` is looked at: an older one shows what a test holds.
PYTHON = os.environ.get("RECONCILER_TEST_PYTHON", sys.executable)


def unique(stem: str) -> str:
    """A job name that no other test uses."""
    return f"{stem}-{uuid.uuid4().hex[:6]}"


def eventually(look: Callable[[], T], what: str, *, seconds: float = 60.0) -> T:
    """Wait until ``look`` gives something true; returns it.

    Raises:
        AssertionError: it did not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


@dataclass
class Daemon:
    """A running ``reconciler run``."""

    process: subprocess.Popen[bytes]
    output: Path

    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text(errors="replace")

    def stop(self) -> int:
        """End it as a service manager would, once it is up; its exit status."""
        eventually(lambda: self.text() or self.process.poll() is not None, "the daemon says something")
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end on TERM:\n{self.text()[-3000:]}") from None

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()


@dataclass
class Workspace:
    """One test's folder and engine.

    Attributes:
        engine: ``podman``, ``docker`` or ``process``.
        url: of the engine's socket; empty for processes.
        settings: further ``RECONCILER_*`` variables, without the prefix.
        prefix: words before the daemon's command.
    """

    root: Path
    engine: str
    url: str = ""
    instance: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:8]}")
    settings: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    cleaned: bool = False

    def __post_init__(self) -> None:
        self.specs.mkdir(parents=True, exist_ok=True)
        # The root is where manifests may mount from, and PyTorch may be read where it is cached.
        self.configure(policy={"hostPaths": [{"path": str(CACHE_DIR), "readOnly": True}]})

    def configure(self, **keys: Any) -> Path:
        """Write the workspace's ``reconciler.yaml``."""
        path = self.root / "reconciler.yaml"
        path.write_text(yaml.safe_dump(keys))
        return path

    @property
    def specs(self) -> Path:
        return self.root / "specs"

    @property
    def environment(self) -> dict[str, str]:
        """For the command: nothing of the caller's settings, everything else under the root."""
        outside = ("RECONCILER_", "CONTAINER_HOST", "DOCKER_HOST", "PYTHONPATH", "XDG_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(outside)}
        own = {
            "ENGINE": self.engine,
            "SPECS": str(self.specs),
            "INSTANCE": self.instance,
            "LOG_FORMAT": "json",
            **({"CONTAINER_HOST": self.url} if self.url else {}),
            **self.settings,
        }
        return (
            kept
            | {"XDG_STATE_HOME": str(self.root / "state"), "XDG_CONFIG_HOME": str(self.root / "config")}
            | {"COLUMNS": "200"}
            | {f"RECONCILER_{name}": value for name, value in own.items()}
        )

    # --- manifests ----------------------------------------------------------------------------------

    def write(self, file: str, *documents: Mapping[str, Any] | str | bytes) -> Path:
        """Put a manifest there at once, as an editor that renames does."""
        path = self.specs / file
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = [
            d if isinstance(d, bytes) else (d if isinstance(d, str) else yaml.safe_dump(dict(d))).encode()
            for d in documents
        ]
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(b"---\n".join(parts))
        part.rename(path)
        return path

    # --- the command --------------------------------------------------------------------------------

    def cli(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``reconciler ARGUMENTS`` to its end; no user may ever see a traceback."""
        command = [PYTHON, "-m", "reconciler", *arguments]
        try:
            done = subprocess.run(
                command, env=self.environment, cwd=self.root, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, errors="replace", timeout=timeout, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            said = (error.stderr or b"").decode(errors="replace")
            raise AssertionError(f"{' '.join(arguments)}: not in {timeout:.0f} s:\n{said[-4000:]}") from None
        assert "Traceback (most recent call last)" not in done.stdout + done.stderr, done.stderr[-4000:]
        return done

    def python(self, script: str, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a Python program of a user's to its end, with the same settings."""
        return subprocess.run(
            [PYTHON, "-c", script], env=self.environment, cwd=self.root, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
        )  # fmt: skip

    @contextlib.contextmanager
    def daemon(self, *arguments: str) -> Iterator[Daemon]:
        """``reconciler run`` for the length of a ``with`` block; it must end well and show no traceback."""
        output = self.root / f"daemon-{uuid.uuid4().hex[:6]}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [*self.prefix, PYTHON, "-m", "reconciler", "run", *arguments],
                env=self.environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        daemon = Daemon(process, output)
        try:
            yield daemon
        except BaseException:
            if process.poll() is None:
                process.kill()
                process.wait()
            sys.stdout.write(f"--- the daemon's output\n{daemon.text()[-6000:]}\n")
            raise
        if process.poll() is None:
            assert daemon.stop() == 0, daemon.text()[-3000:]
        assert "Traceback (most recent call last)" not in daemon.text(), daemon.text()[-4000:]

    # --- what came of it ----------------------------------------------------------------------------

    def documents(self) -> list[dict[str, Any]]:
        """All documents of all sidecars."""
        found: list[dict[str, Any]] = []
        for path in self._files(".status.yaml"):
            with contextlib.suppress(OSError):
                found += [d for d in yaml.load_all(path.read_text(), LOADER) if d]
        return found

    def _files(self, *suffixes: str) -> list[Path]:
        """Files of the folder and below, as far as it can be listed."""
        found: list[Path] = []
        folders = [self.specs]
        for folder in folders:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    # Not os.walk: it looks through every link, which may lead to what never answers.
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    elif entry.name.endswith(suffixes):
                        found.append(Path(entry.path))
        return sorted(found)

    def status(self, job: str) -> dict[str, Any]:
        """The job's status by its sidecar; empty while there is none."""
        for document in self.documents():
            if document.get("kind") == "TrainJob" and document["metadata"]["name"] == job:
                return dict(document.get("status") or {})
        return {}

    def phase(self, job: str) -> str:
        """Its phase; empty while there is none."""
        return str(self.status(job).get("phase", ""))

    def until_phase(self, job: str, *phases: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for one of the phases; the status then."""
        try:
            eventually(lambda: self.phase(job) in phases, f"{job} in {phases}", seconds=seconds)
        except AssertionError as error:
            status = json.dumps(self.status(job), indent=1, default=str)
            raise AssertionError(f"{error}; its status:\n{status[-4000:]}") from None
        return self.status(job)

    def said(self, job: str) -> str:
        """All that the status says in words: conditions, events, errors."""
        status = self.status(job)
        parts = [*status.get("conditions", []), *status.get("events", []), *status.get("errors", [])]
        return "\n".join(f"{p.get('reason', '')}: {p.get('message', '')}" for p in parts)

    def log(self, job: str, rank: int) -> str:
        """What a node has printed, as kept, also after its job was deleted; empty while there is nothing."""
        folder = self.root / "state" / "reconciler" / "logs" / "default"
        files = sorted(folder.glob(f"{job}/*/{job}-node-{rank}.log"))
        files = files or sorted(folder.glob(f"{job}.*/*/{job}-node-{rank}.log"))
        return files[-1].read_text(errors="replace") if files else ""

    # --- the engine, looked at without the code under test ------------------------------------------

    @contextlib.contextmanager
    def api(self) -> Iterator[docker.DockerClient]:
        """Docker's API of the engine (Podman's is alike)."""
        client = docker.DockerClient(base_url=self.url, timeout=120)
        try:
            yield client
        finally:
            client.close()

    def containers(self, job: str = "") -> list[dict[str, Any]]:
        """Inspections of this workspace's containers, by name."""
        labels = [f"{names.LABEL_INSTANCE}={self.instance}"] + ([f"{names.LABEL_JOB}={job}"] if job else [])
        with self.api() as client:
            found = client.containers.list(all=True, filters={"label": labels}, sparse=True)
            inspected = []
            for container in found:
                try:
                    inspected.append(client.api.inspect_container(container.id))
                except docker.errors.APIError as error:
                    # Podman answers 500 for a container that goes while it looks.
                    if error.status_code != 404 and "no such container" not in str(error):
                        raise
        return sorted(inspected, key=lambda c: c["Name"].lstrip("/"))

    def clean(self) -> None:
        """Remove what this workspace's labels are on; once is enough."""
        if self.cleaned:
            return
        self.cleaned = True
        if self.engine == "process":
            self._clean_processes()
            return
        label = {"label": f"{names.LABEL_INSTANCE}={self.instance}"}
        with self.api() as client:
            # Again, as Podman removes no container whose network another one has joined.
            for _ in range(3):
                if not (there := client.api.containers(all=True, filters=label)):
                    break
                for container in there:
                    # Podman's forced removal asks politely first, for ten seconds.
                    with contextlib.suppress(docker.errors.APIError):
                        client.api.kill(container["Id"])
                    with contextlib.suppress(docker.errors.APIError):
                        client.api.remove_container(container["Id"], force=True, v=True)
            for network in client.api.networks(filters=label):
                with contextlib.suppress(docker.errors.APIError):
                    client.api.remove_network(network["Id"] if "Id" in network else network["Name"])
            for volume in client.api.volumes(filters=label)["Volumes"] or []:
                with contextlib.suppress(docker.errors.APIError):
                    client.api.remove_volume(volume["Name"], force=True)

    def _clean_processes(self) -> None:
        """An empty folder leaves no processes: the one thing that needs the command to do it."""
        for path in self._files(".yaml", ".yml"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.cli("run", "--once", "--allow-empty", timeout=60)


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """A container's environment as the engine has it."""
    return dict(entry.split("=", 1) for entry in container["Config"]["Env"])
