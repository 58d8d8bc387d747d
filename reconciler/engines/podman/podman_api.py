"""Podman's libpod API over podman-py's transport."""

from __future__ import annotations

import os
from typing import Any

from reconciler.engines.http.http_api import HttpApi


class PodmanApi(HttpApi):
    """Requests to one Podman service."""

    engine = "Podman"

    def _create_client(self) -> Any:
        from podman.api.client import APIClient  # noqa: PLC0415  (late: it takes 100 ms to import)

        return APIClient(base_url=self.url, identity=os.environ.get("CONTAINER_SSHKEY"))

    def _url_of(self, client: Any, path: str, *, compatible: bool) -> str:
        prefix = client.compatible_prefix if compatible else client.path_prefix
        return f"http://{client.base_url.netloc}{prefix.rstrip('/')}{path}"
