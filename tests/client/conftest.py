"""Workspaces for programs that use the client: a folder, an engine, and Python run in the folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.support import engines, images
from tests.support.workspaces import Workspace

#: The image that the text and the built-in runtime name.
TORCH_IMAGE = ("docker.io/pytorch/pytorch", "2.7.1-cuda12.8-cudnn9-runtime")
MakeWorkspace = Callable[..., Workspace]


@pytest.fixture(scope="session")
def _engines() -> Iterator[None]:
    with engines.using_engines():
        yield


@pytest.fixture
def make_workspace(_engines: None, tmp_path: Path) -> Iterator[MakeWorkspace]:
    """Makes a workspace on an engine; its leftovers there are removed at the end, also after a failure."""
    made: list[Workspace] = []

    def make(engine: str, *, image: str = "base") -> Workspace:
        workspace = Workspace(tmp_path / f"w{len(made)}", engine, _url(engine, image))
        made.append(workspace)
        return workspace

    yield make
    for workspace in made:
        workspace.clean()


def _url(engine: str, image: str) -> str:
    try:
        url = engines.ensure_engine(engine)
        if image == "torch":
            ensure_named_torch_image(engine, url)
        else:
            images.ensure_image(engine, image, url=url)
    except (engines.EngineMissing, images.ImageMissing) as error:
        pytest.skip(f"{engine}: {error}")
    return url


def ensure_named_torch_image(engine: str, url: str) -> None:
    """Tags the test image with PyTorch by the name that the text uses; a real image is left as it is."""
    local = images.ensure_torch_image(engine, url=url)
    client = docker.DockerClient(base_url=url, timeout=120)
    try:
        client.api.inspect_image(":".join(TORCH_IMAGE))
    except docker.errors.ImageNotFound:
        client.api.tag(local, *TORCH_IMAGE)
    finally:
        client.close()


def run_python(
    workspace: Workspace, program: Path, *arguments: str, timeout: float = 120, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a program in the workspace's folder and environment, to its end."""
    environment = (
        workspace.environment | {"PYTHONWARNINGS": "default", "TMPDIR": str(workspace.root)} | variables
    )
    return subprocess.run(
        [sys.executable, str(program), *arguments],
        env={**environment, "PATH": os.environ["PATH"]},
        cwd=workspace.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


#: The base image as both clients can use it: no torchrun (the base's needs PyTorch), and initializers that
#: write their environment to a file.
CLIENT_IMAGE = f"{images.REPOSITORY}:client"
_INITIALIZER = """\
import os, sys
out = os.environ["OUTPUT_PATH"]
if "missing" in os.environ["STORAGE_URI"]:
    sys.exit("there is no such dataset")
os.makedirs(out, exist_ok=True)
names = ("STORAGE_URI", "IGNORE_PATTERNS", "ACCESS_TOKEN")
with open(out + "/fetched.txt", "w") as file:
    file.write(" ".join(f"{name}={os.environ.get(name)}" for name in names))
"""
_SETUP = f"""
rm -f /usr/local/bin/torchrun
for name in dataset model; do
    mkdir -p /app/pkg/initializers/$name
    cat > /app/pkg/initializers/$name/__main__.py <<'PYTHON'
{_INITIALIZER}PYTHON
done
"""


def ensure_client_image(engine: str, url: str) -> str:
    """See :data:`CLIENT_IMAGE`; made from the base image unless it is there."""
    wanted = hashlib.sha256(f"{images.key('base')}{_SETUP}".encode()).hexdigest()[:12]
    client = docker.DockerClient(base_url=url, timeout=120)
    try:
        with contextlib.suppress(docker.errors.ImageNotFound):
            if (client.images.get(CLIENT_IMAGE).labels or {}).get("reconciler-client-key") == wanted:
                return CLIENT_IMAGE
        base = images.ensure_image(engine, "base", url=url)
        alone = client.api.create_host_config(network_mode="none")
        container = client.api.create_container(base, ["bash", "-c", _SETUP], host_config=alone)
        try:
            client.api.start(container["Id"])
            assert client.api.wait(container["Id"])["StatusCode"] == 0
            repository, tag = CLIENT_IMAGE.rsplit(":", 1)
            changes = [f"LABEL reconciler-client-key={wanted}", 'CMD ["python3"]']
            client.api.commit(container["Id"], repository, tag, changes=changes)
        finally:
            client.api.remove_container(container["Id"], force=True)
        return CLIENT_IMAGE
    finally:
        client.close()
