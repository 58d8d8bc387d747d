"""The owner of files that a container writes to a folder of the host, and ports of an ordinary user."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from reconciler.engines.podman.rootless_limits import detect_privileges
from reconciler.engines.specs import Mount, Security
from tests.support.benches import Bench

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user of a container may write to."""
    made = tmp_path / "data"
    made.mkdir()
    made.chmod(0o777)
    return made


def mounted(folder: Path) -> tuple[Mount, ...]:
    return (Mount(kind="bind", source=str(folder), target="/data"),)


def test_files_of_root_in_a_container_belong_to_the_engines_user(podman: Bench, folder: Path) -> None:
    podman.run("touch /data/file", mounts=mounted(folder))

    written = (folder / "file").stat()
    assert (written.st_uid, written.st_gid) == (os.getuid(), os.getgid())


def test_files_of_the_host_user_in_a_container_belong_to_the_engines_user(
    podman: Bench, folder: Path
) -> None:
    """Rootless: mapped to the user that tests run as. As root there is nothing to map: ids are the host's."""
    printed = podman.run(
        "id -u; touch /data/file",
        mounts=mounted(folder),
        security=Security(user="1000:1000"),
        host_user=(1000, 1000),
    )

    written = (folder / "file").stat()
    expected = (os.getuid(), os.getgid()) if podman.can.rootless else (1000, 1000)
    assert printed == "1000\n"
    assert (written.st_uid, written.st_gid) == expected


def test_containers_that_share_a_network_share_the_user_namespace(podman: Bench, folder: Path) -> None:
    network = podman.network()
    user = {"security": Security(user="1000:1000"), "host_user": (1000, 1000), "mounts": mounted(folder)}
    owner = podman.start("owner", "exec sleep 60", network=network.name, **user)

    podman.run("touch /data/file", "joined", share_network_with=podman.name("owner"), **user)

    assert podman.state(owner).state == "running"
    assert (folder / "file").stat().st_uid == (os.getuid() if podman.can.rootless else 1000)


def test_a_privileged_port_is_reported_before_it_is_refused(podman: Bench) -> None:
    start = detect_privileges(podman.engine.info()).port_start if podman.can.rootless else 0
    port = random.randrange(700, 1000)

    sentences = podman.engine.limitations(podman.spec(host_network=True, ports=(port, 8080)))

    assert [f"cannot bind port {port}:" in sentence for sentence in sentences] == (
        [True] if start > port else []
    )
    script = f"import socket; socket.create_server(('127.0.0.1', {port}))"
    container = podman.start(entrypoint=("python3", "-c", script), host_network=True)
    assert (podman.ended(container).exit.code == 0) == (not sentences)  # type: ignore[union-attr]
