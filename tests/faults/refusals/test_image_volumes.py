"""Volumes that an image declares (`VOLUME`) go with the container that they were made for."""

from __future__ import annotations

import contextlib

import docker
import pytest

from tests.support import images
from tests.support.manifests import UNTIL_TERM, runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


def test_an_images_volumes_go_with_the_container(containers: Workspace) -> None:
    job = unique("volume")
    repository = f"localhost/{unique('declares')}"
    with containers.api() as client:
        base = client.containers.create(images.reference(), ["true"])
        try:
            base.commit(repository=repository, tag="1", changes="VOLUME /data")
        finally:
            base.remove(force=True, v=True)
        try:
            containers.write("r.yaml", runtime("rt", f"{repository}:1"), shell(job, "rt", UNTIL_TERM))
            with containers.daemon():
                containers.until_phase(job, "Running")
                (inspected,) = containers.containers(job)
                (volume,) = [m["Name"] for m in inspected["Mounts"] if m["Destination"] == "/data"]
                assert client.volumes.get(volume)
                (containers.specs / "r.yaml").unlink()
                eventually(lambda: not containers.documents(), "the job is gone")
                with pytest.raises(docker.errors.NotFound):
                    client.volumes.get(volume)
        finally:
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(f"{repository}:1", force=True)
