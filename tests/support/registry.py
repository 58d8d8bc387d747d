"""A real image registry on loopback: Debian's docker-registry with a folder of its own.

Engines talk plain HTTP to it: Docker does so for 127.0.0.0/8 by itself; Podman is told by a drop-in of
``registries.conf`` (:func:`Registry.podman_conf`) or by ``tlsVerify=false``. Importable without pytest.
What can go wrong: docker-registry is not installed (:class:`RegistryMissing`); the port, chosen free, is taken
by somebody else before the registry binds it (another is tried).
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bcrypt

from tests.support import engines

START_SECONDS = 20.0

CONFIG = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: false}}}}
storage:
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""

AUTH = """\
auth:
  htpasswd: {{realm: test, path: {file}}}
"""

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class RegistryMissing(Exception):  # noqa: N818  (a state of the world, not a mistake)
    """No registry can be started here; the message says why."""


@dataclass
class Registry:
    """A running registry.

    Attributes:
        host: ``127.0.0.1:PORT``, the first part of its images' names.
        folder: of configuration, storage and log.
        username: to log in with; empty when everybody may.
    """

    folder: Path
    username: str = ""
    password: str = ""
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Its own log: one line for every request."""
        return self.folder / "registry.log"

    def image(self, name: str, tag: str = "latest") -> str:
        """Full name of an image in this registry."""
        return f"{self.host}/{name}:{tag}"

    def start(self) -> None:
        """Start it (again, on the port it had before, so that images keep their names)."""
        program = shutil.which("docker-registry") or shutil.which("registry")
        if program is None:
            raise RegistryMissing("docker-registry is not installed")
        self.folder.mkdir(parents=True, exist_ok=True)
        attempts = 1 if self.port else 5
        for _ in range(attempts):
            self.port = self.port if attempts == 1 else _free_port()
            if self._try_start(program):
                return
        raise RegistryMissing(f"docker-registry does not start:\n{self._tail()}")

    def stop(self) -> None:
        """Stop it; what was pushed stays in the folder."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def push(
        self, name: str, archive: Path, *, tag: str = "latest", cmd: tuple[str, ...] = ("python3",)
    ) -> str:
        """Push an image of one layer, a root file system as a tar file, by the registry's API; its full name.

        No engine takes part, so none has the image afterwards.
        """
        packed, diff_id = _pack(archive)
        layer = {"mediaType": _LAYER, "size": packed.stat().st_size, "digest": _digest(packed)}
        config = json.dumps(
            {
                "architecture": _architecture(),
                "os": "linux",
                "config": {
                    "Cmd": list(cmd),
                    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                    "Labels": {"pushed": f"{name}:{tag}"},
                },
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        ).encode()
        config_digest = "sha256:" + hashlib.sha256(config).hexdigest()
        self._upload(name, packed.read_bytes(), layer["digest"])
        self._upload(name, config, config_digest)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": config_digest},
            "layers": [layer],
        }
        self._call("PUT", f"/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), _MANIFEST)
        return self.image(name, tag)

    def requests(self, method: str, path: str) -> int:
        """How many requests of this kind it has answered: ``requests("GET", "/v2/demo/manifests/latest")``."""
        return self.log.read_text(errors="replace").count(f'"{method} {path} ')

    def _try_start(self, program: str) -> bool:
        config = CONFIG.format(data=self.folder / "data", port=self.port)
        if self.username:
            (self.folder / "htpasswd").write_text(_htpasswd(self.username, self.password))
            config += AUTH.format(file=self.folder / "htpasswd")
        (self.folder / "config.yml").write_text(config)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(self.folder / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, urllib.error.URLError):
                self._call("GET", "/v2/")
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def _upload(self, name: str, content: bytes, digest: str) -> None:
        where = self._call("POST", f"/v2/{name}/blobs/uploads/", b"")
        glue = "&" if "?" in where else "?"
        self._call("PUT", f"{where}{glue}digest={digest}", content, "application/octet-stream")

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> str:
        """One request; returns the Location that the registry answered with."""
        url = path if path.startswith("http") else f"http://{self.host}{path}"
        request = urllib.request.Request(url, data=body, method=method)
        if kind:
            request.add_header("Content-Type", kind)
        if self.username:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.headers.get("Location", ""))

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])


@contextlib.contextmanager
def running(folder: Path, *, username: str = "", password: str = "") -> Iterator[Registry]:
    """A registry for the length of a ``with`` block.

    Raises:
        RegistryMissing: it can't be started here.
    """
    registry = Registry(folder, username=username, password=password)
    registry.start()
    try:
        yield registry
    finally:
        registry.stop()


def small_archive(path: Path, files: dict[str, bytes] | None = None) -> Path:
    """A root file system of a few kB for images that are pulled: static busybox with its ``sh``.

    Raises:
        RegistryMissing: there is no static busybox on this machine.
    """
    busybox = shutil.which("busybox")
    if busybox is None:
        raise RegistryMissing("busybox-static is not installed")
    with tarfile.open(path, "w") as tar:
        for folder in ("bin", "etc", "tmp", "dev", "proc", "sys"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for applet in ("sh", "sleep", "cat", "env", "echo", "true", "hostname"):
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        for name, content in (files or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def _pack(archive: Path) -> tuple[Path, str]:
    packed = archive.with_suffix(".tar.gz")
    if not packed.exists() or packed.stat().st_mtime < archive.stat().st_mtime:
        with archive.open("rb") as source, gzip.GzipFile(packed, "wb", compresslevel=1, mtime=0) as target:
            shutil.copyfileobj(source, target)
    return packed, _digest(archive)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def _htpasswd(username: str, password: str) -> str:
    return f"{username}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def podman_service(folder: Path, *registries: Registry) -> Iterator[str]:
    """A Podman service of its own that takes plain HTTP from these registries; its ``unix://`` URL.

    A running service reads ``registries.conf`` once, so the shared one can't be told later. Both use the
    same store.

    Raises:
        RegistryMissing: podman is not installed or does not start.
    """
    program = shutil.which("podman")
    if program is None:
        raise RegistryMissing("podman is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "registries.conf"
    conf.write_text("".join(f'[[registry]]\nlocation = "{r.host}"\ninsecure = true\n' for r in registries))
    environment = {**os.environ, **engines.WITHOUT_PACKAGES, "CONTAINERS_REGISTRIES_CONF": str(conf)}
    if not Path("/run/systemd/system").exists():
        containers = folder / "containers.conf"
        containers.write_text(engines.CONTAINERS_CONF)
        environment["CONTAINERS_CONF"] = str(containers)
    with tempfile.TemporaryDirectory(prefix="pod-") as short:
        url = f"unix://{short}/podman.sock"
        with (folder / "podman.log").open("wb") as log:
            process = subprocess.Popen(
                [program, "system", "service", "--time=0", url],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + START_SECONDS
            while not engines.answers(url, "podman"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RegistryMissing(f"podman does not start:\n{(folder / 'podman.log').read_text()}")
                time.sleep(0.02)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)
