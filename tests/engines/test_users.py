"""Whose the files are that a container writes into a folder of the host."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from reconciler.engines.host.rootless_limits import Rights, allowed, limitations, rights, user_namespace
from reconciler.engines.protocol import EngineInfo
from reconciler.engines.specs import ContainerSpec, Mount, Security
from tests.support.benches import Bench


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that every user of a container may write to."""
    made = tmp_path / "data"
    made.mkdir()
    made.chmod(0o777)
    return made


def mounted(folder: Path) -> tuple[Mount, ...]:
    return (Mount(kind="bind", source=str(folder), target="/data"),)


@pytest.mark.engine
def test_what_root_in_a_container_writes_is_the_engine_users(podman: Bench, folder: Path) -> None:
    podman.run("touch /data/file", mounts=mounted(folder))

    written = (folder / "file").stat()
    assert (written.st_uid, written.st_gid) == (os.getuid(), os.getgid())


@pytest.mark.engine
def test_what_the_host_user_in_a_container_writes_is_the_engine_users(podman: Bench, folder: Path) -> None:
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


@pytest.mark.engine
def test_containers_of_one_network_share_the_users(podman: Bench, folder: Path) -> None:
    network = podman.network()
    user = {"security": Security(user="1000:1000"), "host_user": (1000, 1000), "mounts": mounted(folder)}
    owner = podman.start("owner", "exec sleep 60", network=network.name, **user)

    podman.run("touch /data/file", "joined", share_network_with=podman.name("owner"), **user)

    assert podman.state(owner).state == "running"
    assert (folder / "file").stat().st_uid == (os.getuid() if podman.can.rootless else 1000)


@pytest.mark.engine
def test_a_port_that_only_root_may_bind_is_said_before_it_is_refused(podman: Bench) -> None:
    start = rights(podman.engine.info()).port_start if podman.can.rootless else 0
    port = random.randrange(700, 1000)

    said = podman.engine.limitations(podman.spec(host_network=True, ports=(port, 8080)))

    assert [f"cannot bind port {port}:" in sentence for sentence in said] == ([True] if start > port else [])
    script = f"import socket; socket.create_server(('127.0.0.1', {port}))"
    container = podman.start(entrypoint=("python3", "-c", script), host_network=True)
    assert (podman.ended(container).exit.code == 0) == (not said)  # type: ignore[union-attr]


def info(**details: object) -> EngineInfo:
    return EngineInfo(name="podman", version="4.9.3-dev", rootless=True, details=details)


def spec(**fields: object) -> ContainerSpec:
    return ContainerSpec(name="c", image="i", labels={}, **fields)  # type: ignore[arg-type]


def test_version_1_of_cgroups_gives_an_ordinary_user_no_controllers() -> None:
    one = rights(info(cgroup_version="1", cgroup_controllers=("cpu", "memory")))
    two = rights(info(cgroup_version="2", cgroup_controllers=("memory", "pids")))

    assert (one.version, one.controllers) == ((4, 9, 3), frozenset())
    assert two.controllers == {"memory", "pids"}


def test_only_what_cannot_be_set_is_left_out() -> None:
    given = Rights(rootless=True, cgroup_version="2", controllers=frozenset({"memory"}))
    asked = spec(memory_limit=64, memory_reservation=32, cpu_limit=1.0, cpu_shares=512)

    kept = allowed(asked, given)

    assert (kept.memory_limit, kept.memory_reservation) == (64, 32)
    assert (kept.cpu_limit, kept.cpu_shares) == (None, None)
    (said,) = limitations(asked, given)
    assert said.startswith("Limits on cpu are not enforced: ")
    assert "`reconciler doctor` says how" in said
    assert allowed(asked, Rights()) == asked
    assert limitations(asked, Rights()) == ()


def test_requests_that_cannot_be_kept_are_no_news() -> None:
    assert limitations(spec(cpu_shares=512, memory_reservation=32), Rights(rootless=True)) == ()


def test_a_low_port_of_the_hosts_network_is_said_before_it_is_refused() -> None:
    given = Rights(rootless=True, port_start=1024)

    said = limitations(spec(host_network=True, ports=(80, 8080)), given)

    assert len(said) == 1
    assert "cannot bind port 80:" in said[0]
    assert limitations(spec(ports=(80,)), given) == ()
    assert limitations(spec(host_network=True, ports=(80,)), Rights(rootless=True, port_start=80)) == ()


def test_privileged_is_within_the_users_own_rights() -> None:
    assert "no more" in limitations(spec(security=Security(privileged=True)), Rights(rootless=True))[0]


def test_users_are_mapped_only_where_podman_can() -> None:
    new, old = Rights(rootless=True, version=(4, 3, 1)), Rights(rootless=True, version=(4, 2, 0))
    asked = spec(host_user=(1000, 100))

    assert user_namespace(asked, new) == {"userns": {"nsmode": "keep-id", "value": "uid=1000,gid=100"}}
    assert user_namespace(spec(host_user=(1, 1), share_network_with="o"), new) == {
        "userns": {"nsmode": "container", "value": "o"}
    }
    assert user_namespace(asked, old) == user_namespace(asked, Rights(version=(5, 0))) == {}
    assert "subordinate id" in limitations(asked, old)[0]
    assert limitations(asked, new) == ()
