"""Parts that depend on the platform, tested alone; and the ports of several daemons."""

import os
import shutil
import signal
import subprocess

import pytest

from reconciler.engines.process.networks.port_reservations import PortReservations
from reconciler.engines.process.process_engine import ProcessEngine
from reconciler.engines.process.supervisor import cgroup_limits, process_identity
from reconciler.engines.specs import Mount, NetworkSpec


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_processes_are_identified_by_ps_where_there_is_no_proc(monkeypatch, sleeper, until):
    monkeypatch.setattr(process_identity, "LINUX", False)

    known = process_identity.identity(sleeper.pid)
    assert process_identity.is_alive(sleeper.pid, known)
    assert not process_identity.is_alive(os.getpid(), known)

    os.kill(sleeper.pid, signal.SIGSTOP)
    until(lambda: process_identity.is_stopped(sleeper.pid))
    sleeper.kill()
    until(lambda: not process_identity.is_alive(sleeper.pid, known))  # a zombie is not alive


def test_a_zombie_is_not_alive(sleeper, until):
    known = process_identity.identity(sleeper.pid)

    sleeper.kill()

    until(lambda: not process_identity.is_alive(sleeper.pid, known))


def test_two_daemons_with_their_own_state_get_different_ports(tmp_path):
    engines = [ProcessEngine(tmp_path / name) for name in ("one", "two")]

    ports = [e.create_network(NetworkSpec(name="n", labels={})).port for e in engines]

    for each in engines:
        each.remove_network("n")
    assert ports[0] != ports[1]


def test_a_reservation_ends_with_its_network(tmp_path):
    reservations = PortReservations(tmp_path / "shared")
    record = tmp_path / "network.json"
    record.write_text('{"id": "a"}')
    reservations.take(29500, record=record, network_id="a")
    reservations.take(29501, record=record, network_id="before-a")

    with reservations.locked():
        before = reservations.list_taken()
        record.unlink()
        after = reservations.list_taken()

    assert before == {29500}
    assert after == set()


def test_a_reservation_folder_of_another_user_is_not_used(tmp_path):
    (tmp_path / "shared").symlink_to(tmp_path)
    reservations = PortReservations(tmp_path / "shared")

    with reservations.locked():
        reservations.take(29500, record=tmp_path / "x", network_id="a")

    assert reservations.list_taken() == set()
    assert not (tmp_path / "29500").exists()


@pytest.mark.parametrize("target", ["/dev/shm", "/tmp", "/root", "/etc/ssl"])
def test_mounts_over_system_folders(mounting_engine, bench_of, target):
    bench = bench_of(mounting_engine)
    mount = Mount(kind="tmpfs", target=target, size=1 << 20)

    out = bench.run("sh", "-c", f"echo here > {target}/file; cat {target}/file", mounts=(mount,))

    assert out == "here\n"


def test_groups_of_cgroup_v2(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory")

    controllers = cgroup_limits.find_controllers(str(tmp_path))
    [group] = cgroup_limits.plan_groups(controllers, name="c", memory=1 << 20, cpus=1.5)

    assert controllers == dict.fromkeys(("memory", "cpu"), str(tmp_path / "reconciler"))
    assert group["path"] == str(tmp_path / "reconciler" / "c")
    assert group["files"] == {"memory.max": "1048576", "memory.swap.max": "0", "cpu.max": "150000 100000"}


def test_without_control_groups_no_controller_is_found(tmp_path):
    assert cgroup_limits.find_controllers(str(tmp_path)) == {}
