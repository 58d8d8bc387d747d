"""Docker's Engine API over docker-py's transport."""

from __future__ import annotations

import os
from typing import Any, Final

from reconciler.engines.docker.docker_answers import VERSION
from reconciler.engines.http import error_mapping
from reconciler.engines.http.http_api import HttpApi, root_cause

#: What a client wants to be told before the daemon has been asked; no request goes by it.
_ANY_VERSION: Final = "1.41"
_VERSION_PATH: Final = "/version"


class DockerApi(HttpApi):
    """Requests to one Docker daemon, in the API version of that daemon."""

    engine = "Docker"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._version = ""

    def _create_client(self) -> Any:
        from docker import APIClient  # noqa: PLC0415  (late: it takes 100 ms to import)
        from docker.errors import DockerException  # noqa: PLC0415

        try:
            # Its own way to find the version out has no time limit, and believes what it gets.
            return APIClient(
                base_url=self.url,
                version=_ANY_VERSION,
                tls=_tls(self.url),
                use_ssh_client=self.url.startswith("ssh://"),
            )
        except DockerException as error:
            raise error_mapping.unavailable(self.engine, self.url, root_cause(error)) from error

    def _url_of(self, client: Any, path: str, *, compatible: bool) -> str:  # noqa: ARG002  (Podman's)
        prefix = "" if path == _VERSION_PATH else f"/v{self._negotiated()}"
        return f"{client.base_url}{prefix}{path}"

    def _negotiated(self) -> str:
        """Returns the API version of the daemon, asked for once and not for each thread."""
        if not self._version:
            answer = self.call("GET", _VERSION_PATH, "report its version", expect=VERSION)
            self._version = answer["ApiVersion"]
        return self._version

    @property
    def version(self) -> tuple[int, ...]:
        """The API version, as negotiated."""
        return tuple(int(part) for part in self._negotiated().split("."))

    def registry_auth(self, registry: str) -> str:
        """Returns the user's own credentials for a registry (``docker login``), encoded; "" without any."""
        from docker.auth import get_config_header  # noqa: PLC0415

        header = get_config_header(self._client().session, registry)
        return header.decode() if isinstance(header, bytes) else str(header or "")


def _tls(url: str) -> Any:
    """Returns the TLS settings of Docker's own client (``DOCKER_TLS_VERIFY``, ``DOCKER_CERT_PATH``)."""
    if not url.startswith(("tcp://", "https://")) or not os.environ.get("DOCKER_TLS_VERIFY"):
        return False
    from docker.utils import kwargs_from_env  # noqa: PLC0415

    return kwargs_from_env().get("tls", False)
