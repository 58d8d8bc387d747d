"""Servers of git repositories on loopback: git's own HTTP back end, and Debian's sshd.

What can go wrong: sshd is not installed; then :class:`ServerMissing` says so.
"""

from __future__ import annotations

import base64
import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit


class ServerMissing(Exception):  # noqa: N818  (a state of the world, not a mistake)
    """This machine has no such server."""


@dataclass
class GitHttp:
    """``git http-backend`` behind HTTP; with a token, for those who send it as a password.

    Attributes:
        seen: the Authorization header of each request.
        redirect: answer with this URL instead.
        on_request: called before each answer.
    """

    folder: Path
    token: str = ""
    port: int = 0
    redirect: str = ""
    seen: list[str] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None
    _server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen; again on the same port after a stop."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            do_POST = do_GET  # noqa: N815  (the base class' names)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def url(self, name: str = "remote.git", userinfo: str = "") -> str:
        return f"http://{userinfo}{'@' if userinfo else ''}127.0.0.1:{self.port}/{name}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.on_request()
        header = request.headers.get("Authorization", "")
        self.seen.append(header)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", f"{self.redirect}{request.path}")
            request.end_headers()
            return
        given = (
            base64.b64decode(header.removeprefix("Basic ")).decode() if header.startswith("Basic ") else ""
        )
        if self.token and given.partition(":")[2] != self.token:
            request.send_response(401)
            request.send_header("WWW-Authenticate", 'Basic realm="git"')
            request.end_headers()
            return
        self._back_end(request, body)

    def _back_end(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        url = urlsplit(request.path)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": request.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = [line.decode().split(": ", 1) for line in head.splitlines() if b": " in line]
        status = next((value.split()[0] for name, value in headers if name == "Status"), "200")
        request.send_response(int(status))
        for name, value in headers:
            if name != "Status":
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass
class GitSsh:
    """An sshd that lets one key in.

    Attributes:
        key: the private key that it lets in.
        known_hosts: a file with the key of this host.
    """

    folder: Path
    port: int = 0

    @property
    def key(self) -> Path:
        return self.folder / "client"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def url(self, repository: Path) -> str:
        return f"ssh://{pwd.getpwuid(os.getuid()).pw_name}@127.0.0.1:{self.port}{repository}"

    @contextlib.contextmanager
    def running(self) -> Iterator[GitSsh]:
        program = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None or shutil.which("ssh-keygen") is None:
            raise ServerMissing("sshd is not installed")
        self.folder.mkdir(parents=True)
        for name in ("client", "stranger", "host"):
            make_key(self.folder / name)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (self.folder / "authorized_keys").write_text((self.folder / "client.pub").read_text())
        host_key = (self.folder / "host.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key}")
        configuration = self.folder / "sshd_config"
        configuration.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
        )
        log = (self.folder / "sshd.log").open("wb")
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            self._await(process)
            yield self
        finally:
            process.terminate()
            process.wait(20)
            log.close()

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerMissing(f"sshd does not start: {(self.folder / 'sshd.log').read_text()[-500:]}")
            time.sleep(0.05)


def make_key(path: Path) -> None:
    """An ed25519 key pair, without a passphrase."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True
    )


def command_lines() -> bytes:
    """Those of every process that this user can see."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += path.read_bytes() + b"\n"
    return found


def traces(folder: Path, secret: str) -> list[str]:
    """Files below a folder that hold the secret."""
    found = []
    # Folders come and go meanwhile: os.walk passes over them, rglob raises.
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            with contextlib.suppress(OSError):
                if path.is_file() and secret.encode() in path.read_bytes():
                    found.append(str(path))
    return found
