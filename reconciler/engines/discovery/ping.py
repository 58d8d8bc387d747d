"""Asks which engine answers at an address: one request of the standard library, before a client is imported.

Podman answers Docker's calls too, on its own socket and often on a symbolic link at Docker's; its answer
to ``/_ping`` carries a header that Docker's does not.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

_SECONDS: Final = 5.0


class NoAnswer(Exception):  # noqa: N818  (what was found, not what went wrong)
    """No engine answers; the message says why in a few words."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def identify_engine(url: str) -> Literal["podman", "docker"]:
    """Returns which engine answers at a ``unix``, ``tcp``, ``http`` or ``https`` URL.

    Raises:
        NoAnswer: none does.
    """
    connection = _connection(url)
    try:
        connection.request("GET", "/_ping")
        response = connection.getresponse()
        response.read()
    except FileNotFoundError:
        raise NoAnswer("there is no such socket") from None
    except ConnectionRefusedError:
        raise NoAnswer("nobody listens (connection refused)") from None
    except PermissionError:
        group = " (is this user in the group `docker`?)" if url.endswith("docker.sock") else ""
        raise NoAnswer(f"permission denied{group}") from None
    except TimeoutError:
        raise NoAnswer(f"no answer within {_SECONDS:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    finally:
        connection.close()
    if response.getheader("Libpod-API-Version"):
        return "podman"
    if response.status == 200 and (
        response.getheader("Api-Version") or response.getheader("Docker-Experimental")
    ):
        return "docker"
    raise NoAnswer(f"something answers there (status {response.status}), but neither Podman nor Docker")


def check_ssh(url: str) -> None:
    """Checks that ``ssh`` gets to the host of a URL without asking anything: the clients wait for minutes.

    Raises:
        NoAnswer: it does not; the message is ssh's own.
    """
    parts = urlsplit(url)
    command = ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={_SECONDS:.0f}"]
    if key := os.environ.get("CONTAINER_SSHKEY"):
        command += ["-i", key]
    if parts.port:
        command += ["-p", str(parts.port)]
    if parts.username:
        command += ["-l", parts.username]
    try:
        done = subprocess.run(
            [*command, "--", parts.hostname or "localhost", "true"],
            capture_output=True,
            text=True,
            timeout=4 * _SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise NoAnswer("the program `ssh` is not installed") from None
    except subprocess.TimeoutExpired:
        raise NoAnswer("ssh takes too long") from None
    if done.returncode:
        reason = done.stderr.strip().splitlines()
        raise NoAnswer(f"{reason[-1] if reason else 'ssh failed'}; ssh must work without a password")


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return _UnixConnection(parts.netloc + parts.path)
    secure = parts.scheme == "https" or bool(os.environ.get("DOCKER_TLS_VERIFY"))
    host, port = parts.hostname or "localhost", parts.port or (2376 if secure else 2375)
    if not secure:
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)
    return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=_tls_context())


def _tls_context() -> ssl.SSLContext:
    """Returns TLS as Docker's client does it: authority and client certificate are in one folder."""
    folder = Path(os.environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    authority = folder / "ca.pem"
    context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    if (folder / "cert.pem").exists():
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
