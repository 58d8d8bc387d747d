"""Docker's Engine API over docker-py's transport."""

from __future__ import annotations

import os
from typing import Any

from reconciler.engines.http import error_mapping
from reconciler.engines.http.http_api import HttpApi, root_cause


class DockerApi(HttpApi):
    """Requests to one Docker daemon, in the newest API version that both sides know."""

    engine = "Docker"

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._version = "auto"

    def _create_client(self) -> Any:
        from docker import APIClient  # noqa: PLC0415  (late: it takes 100 ms to import)
        from docker.errors import DockerException  # noqa: PLC0415

        try:
            client = APIClient(
                base_url=self.url,
                version=self._version,
                tls=_tls(self.url),
                use_ssh_client=self.url.startswith("ssh://"),
            )
        except DockerException as error:
            raise error_mapping.unavailable(self.engine, self.url, root_cause(error)) from error
        # Negotiated once, not for each thread.
        self._version = client.api_version
        return client

    def _url_of(self, client: Any, path: str, *, compatible: bool) -> str:  # noqa: ARG002  (Podman's)
        return f"{client.base_url}/v{client.api_version}{path}"

    @property
    def version(self) -> tuple[int, ...]:
        """The API version, as negotiated."""
        return tuple(int(part) for part in str(self._client().api_version).split("."))

    def registry_auth(self, registry: str) -> str:
        """Returns the user's own credentials for a registry (``docker login``), encoded; "" without any."""
        from docker.auth import get_config_header  # noqa: PLC0415

        header = get_config_header(self._client(), registry)
        return header.decode() if isinstance(header, bytes) else str(header or "")


def _tls(url: str) -> Any:
    """Returns the TLS settings of Docker's own client (``DOCKER_TLS_VERIFY``, ``DOCKER_CERT_PATH``)."""
    if not url.startswith(("tcp://", "https://")) or not os.environ.get("DOCKER_TLS_VERIFY"):
        return False
    from docker.utils import kwargs_from_env  # noqa: PLC0415

    return kwargs_from_env().get("tls", False)
