"""Networks, volumes, environment, limits and devices of a container."""

import ipaddress
import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from reconciler.engines.process import host_facts
from reconciler.engines.process.networks import loopback_addresses
from reconciler.engines.process.process_engine import ProcessEngine
from reconciler.engines.process.supervisor import cgroup_limits
from reconciler.engines.specs import ContainerSpec, Mount, NetworkSpec, Security, VolumeSpec
from reconciler.errors import Busy, Conflict, EngineError, NotFound, StartFailed


def second(network, number=2):
    return str(ipaddress.ip_network(network.subnet)[number])


# Networks


def test_networks_do_not_overlap(bench):
    subnets = [ipaddress.ip_network(bench.network(f"n{i}").subnet) for i in range(5)]

    assert all(s.subnet_of(loopback_addresses.POOL) for s in subnets)
    assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)


def test_a_network_is_as_large_as_asked_for(bench):
    network = bench.network(min_addresses=1000)

    assert ipaddress.ip_network(network.subnet).num_addresses >= 1003


def test_a_port_that_is_listened_on_is_not_free(bench):
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()

        assert not loopback_addresses.is_port_free(server.getsockname()[1])


def test_a_network_name_is_taken_once_and_free_after_removal(bench):
    bench.network()
    with pytest.raises(Conflict):
        bench.network()

    bench.engine.remove_network("job-net")

    with pytest.raises(NotFound):
        bench.engine.inspect_network("job-net")
    bench.network()


def test_a_network_in_use_stays(bench):
    bench.network()
    bench.create("true", network="job-net")

    with pytest.raises(EngineError, match="used by job-node-0"):
        bench.engine.remove_network("job-net")


def test_networks_are_filtered_by_label(engine):
    engine.create_network(NetworkSpec(name="a", labels={"job": "a"}))
    engine.create_network(NetworkSpec(name="b", labels={"job": "b"}))

    assert [n.name for n in engine.list_networks({"job": "b"})] == ["b"]


def test_a_planned_address_is_reported_and_can_be_bound(bench):
    network = bench.network()
    program = "import os,socket; s=socket.socket(); s.bind((os.environ['ME'], 0)); print(s.getsockname()[0])"

    out = bench.run(
        "python", "-c", program, network=network.name, address=second(network), env={"ME": second(network)}
    )

    assert out.strip() == second(network)
    assert bench.engine.inspect_container("job-node-0").address == second(network)


def test_containers_without_a_planned_address_get_different_ones(bench):
    bench.network()
    for name in ("one", "two"):
        bench.create("true", name=name, network="job-net")

    assert len({c.address for c in bench.engine.list_containers({})}) == 2


@pytest.mark.parametrize("address", ["10.0.0.1", "nonsense"])
def test_an_address_outside_the_subnet_is_refused(bench, address):
    bench.network()

    with pytest.raises(StartFailed, match=address):
        bench.create("true", network="job-net", address=address)


def test_an_address_in_use_is_refused_for_the_moment(bench):
    network = bench.network()
    bench.start("sleep", "60", name="one", network=network.name, address=second(network))
    bench.create("true", name="two", network=network.name, address=second(network))

    with pytest.raises(Busy, match="in use by one"):
        bench.engine.start_container("two")


def test_a_missing_network_is_not_found(bench):
    with pytest.raises(NotFound, match="no network named job-net"):
        bench.create("true", network="job-net")


def test_a_container_that_shares_a_network_has_its_address_and_host_name(mounting_engine, bench_of):
    bench = bench_of(mounting_engine)
    network = bench.network()
    bench.start("sleep", "60", network=network.name, address=second(network), hostname="owner")

    out = bench.run("hostname", name="sidecar", share_network_with="job-node-0")

    assert out == "owner\n"
    assert mounting_engine.inspect_container("sidecar").address == second(network)


def test_host_names_of_all_nodes_resolve(mounting_engine, bench_of):
    bench = bench_of(mounting_engine)
    network = bench.network()
    hosts = {f"job-node-{i}": second(network, 2 + i) for i in range(3)}
    program = "import socket; print(socket.gethostname(), *[socket.gethostbyname(f'job-node-{i}') for i in range(3)])"

    out = bench.run(
        "python",
        "-c",
        program,
        network=network.name,
        address=second(network),
        hostname="job-node-0",
        hosts=hosts,
    )

    assert out.split() == ["job-node-0", *hosts.values()]


def test_the_rendezvous_port_is_rewritten_where_another_job_has_it(bench):
    bench.network("first")
    network = bench.network("second")
    me = second(network)

    out = bench.run(
        "sh",
        "-c",
        'echo "$MASTER_PORT $COORDINATOR $SAMPLES $@"',
        "sh",
        "--master-port",
        "29500",
        "--port=29500",
        "29500",
        network="second",
        env={"MASTER_PORT": "29500", "COORDINATOR": f"{me}:29500", "SAMPLES": "29500"},
    )

    port = network.port
    assert port != 29500
    assert out.split() == [
        str(port), f"{me}:{port}", "29500", "--master-port", str(port), f"--port={port}", "29500",
    ]  # fmt: skip


def test_with_one_loopback_address_all_ranks_share_it(state_dir, bench_of):
    bench = bench_of(ProcessEngine(state_dir, can_mount=False, any_loopback=False))
    network = bench.network()

    out = bench.run(
        "sh", "-c", "echo $MASTER_ADDR $OTHER", network=network.name,
        env={"MASTER_ADDR": second(network), "OTHER": "127.1.2.3"},
    )  # fmt: skip

    assert out.split() == ["127.0.0.1", "127.1.2.3"]


# Volumes


def test_a_volume_is_mounted_at_its_path_and_persists(mounting_engine, bench_of):
    bench = bench_of(mounting_engine)
    mounting_engine.create_volume(VolumeSpec(name="shared", labels={}))
    mount = Mount(kind="volume", target="/not-on-this-host/data", source="shared")

    bench.run("sh", "-c", "echo kept > /not-on-this-host/data/file", mounts=(mount,))
    mounting_engine.remove_container("job-node-0")
    out = bench.run("cat", "/not-on-this-host/data/file", mounts=(mount,))

    assert out == "kept\n"
    assert not Path("/not-on-this-host").exists()


def test_a_mount_point_below_a_system_folder_does_not_change_the_host(mounting_engine, bench_of, tmp_path):
    bench = bench_of(mounting_engine)
    (tmp_path / "file").write_text("hello")
    before = [p.name for p in Path("/opt").iterdir()]
    mount = Mount(kind="bind", target="/opt/not-on-this-host/x", source=str(tmp_path))

    out = bench.run("sh", "-c", "cat /opt/not-on-this-host/x/file; echo; ls -A /opt", mounts=(mount,))

    assert out.split()[0] == "hello"
    assert sorted(out.split()[1:]) == sorted([*before, "not-on-this-host"])
    assert [p.name for p in Path("/opt").iterdir()] == before


def test_a_read_only_mount_cannot_be_written(mounting_engine, bench_of, tmp_path):
    bench = bench_of(mounting_engine)
    mount = Mount(kind="bind", target="/data-ro", source=str(tmp_path), read_only=True)

    out = bench.run("sh", "-c", "touch /data-ro/file", mounts=(mount,))

    assert "Read-only file system" in out
    assert list(tmp_path.glob("file")) == []


def test_a_single_file_is_mounted(mounting_engine, bench_of, tmp_path):
    bench = bench_of(mounting_engine)
    (tmp_path / "f").write_text("content")
    mount = Mount(kind="bind", target="/etc/not-there/conf", source=str(tmp_path), sub_path="f")

    assert bench.run("cat", "/etc/not-there/conf", mounts=(mount,)) == "content"


def test_a_tmpfs_has_its_size(mounting_engine, bench_of):
    bench = bench_of(mounting_engine)
    mount = Mount(kind="tmpfs", target="/scratch-mem", size=1 << 20)

    out = bench.run("sh", "-c", "df -k --output=size /scratch-mem | tail -1", mounts=(mount,))

    assert out.strip() == "1024"


def test_nested_mounts_are_mounted_outer_first(mounting_engine, bench_of):
    bench = bench_of(mounting_engine)
    for name in ("outer", "inner"):
        mounting_engine.create_volume(VolumeSpec(name=name, labels={}))
    mounts = (
        Mount(kind="volume", target="/w/deep/er", source="inner"),
        Mount(kind="volume", target="/w", source="outer"),
    )

    bench.run("sh", "-c", "echo o > /w/o; echo i > /w/deep/er/i", mounts=mounts)

    volumes = mounting_engine.root / "volumes"
    assert (volumes / "outer/data/o").read_text() == "o\n"
    assert (volumes / "inner/data/i").read_text() == "i\n"


def test_a_mount_that_hides_the_state_folder_is_possible(mounting_engine, bench_of, tmp_path):
    bench = bench_of(mounting_engine)
    source = tmp_path / "elsewhere"
    source.mkdir()
    (source / "file").write_text("seen")
    mount = Mount(kind="bind", target=str(mounting_engine.root), source=str(source))

    out = bench.run("cat", f"{mounting_engine.root}/file", mounts=(mount,), working_dir="/")

    assert out == "seen"


def test_without_mounts_paths_are_rewritten_in_command_and_environment(rewriting_engine, bench_of, tmp_path):
    bench = bench_of(rewriting_engine)
    (tmp_path / "file").write_text("hello")
    mount = Mount(kind="bind", target="/dataset", source=str(tmp_path))

    out = bench.run(
        "sh",
        "-c",
        "cat /dataset/file; pwd; echo $DATA $RECONCILER_MOUNT_DATASET /dataset-2 /my/dataset ${NONE}/dataset",
        mounts=(mount,),
        env={"DATA": "file:///dataset/file"},
        working_dir="/dataset",
    )

    where = str(tmp_path)
    assert out.split() == [
        f"hello{where}",
        f"file://{where}/file",
        where,
        "/dataset-2",
        "/my/dataset",
        "/dataset",
    ]


def test_without_mounts_relative_paths_reach_volumes_below_the_working_directory(rewriting_engine, bench_of):
    bench = bench_of(rewriting_engine)
    rewriting_engine.create_volume(VolumeSpec(name="v", labels={}))
    mount = Mount(kind="volume", target="/workspace/out", source="v")

    bench.run("sh", "-c", "echo x > out/file", mounts=(mount,), working_dir="/workspace")

    assert (rewriting_engine.root / "volumes/v/data/file").read_text() == "x\n"


def test_a_missing_mount_source_is_reported(bench):
    mount = Mount(kind="bind", target="/data", source="/not/there")

    with pytest.raises(StartFailed, match="'/not/there', to be mounted at /data, does not exist"):
        bench.create("true", mounts=(mount,))


def test_a_missing_volume_is_not_found(bench):
    with pytest.raises(NotFound, match="no volume named gone"):
        bench.create("true", mounts=(Mount(kind="volume", target="/data", source="gone"),))


@pytest.mark.parametrize("way_out", ["../..", "link/x"])
def test_a_sub_path_stays_in_its_volume(bench, tmp_path, way_out):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "link").symlink_to("/etc")
    mount = Mount(kind="bind", target="/data", source=str(tmp_path / "v"), sub_path=way_out)

    with pytest.raises(StartFailed, match="leads out of its volume"):
        bench.create("true", mounts=(mount,))


def test_an_existing_volume_of_the_same_labels_is_kept(engine):
    engine.create_volume(VolumeSpec(name="v", labels={"a": "b"}))

    engine.create_volume(VolumeSpec(name="v", labels={"a": "b"}))

    with pytest.raises(Conflict):
        engine.create_volume(VolumeSpec(name="v", labels={"a": "c"}))
    assert [v.name for v in engine.list_volumes({"a": "b"})] == ["v"]


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="no /dev/shm here")
def test_a_volume_in_memory_is_removed_with_its_content(bench):
    bench.engine.create_volume(VolumeSpec(name="m", labels={}, tmpfs_size=0))
    data = (bench.engine.root / "volumes/m/data").resolve()

    bench.engine.remove_volume("m")

    assert str(data).startswith("/dev/shm/")
    assert not data.exists()


def test_a_volume_in_use_stays(bench):
    bench.engine.create_volume(VolumeSpec(name="v", labels={}))
    bench.create("true", mounts=(Mount(kind="volume", target="/data", source="v"),))

    with pytest.raises(EngineError, match="used by job-node-0"):
        bench.engine.remove_volume("v")


# Environment and programs


def test_the_daemons_environment_is_not_inherited(bench, monkeypatch):
    monkeypatch.setenv("HF_TOKEN_OF_THE_DAEMON", "secret")

    assert "HF_TOKEN_OF_THE_DAEMON" not in bench.run("env")


def test_the_specifications_environment_wins(bench):
    assert bench.run("sh", "-c", "echo $HOME $LANG", env={"HOME": "/h", "LANG": "x"}) == "/h x\n"


@pytest.mark.parametrize("name", ["python", "python3"])
def test_python_is_the_daemons_own(bench, name):
    out = bench.run(name, "-c", "import sys; print(sys.prefix)")

    assert out.strip() == sys.prefix


def test_shims_for_python_pip_and_torchrun_are_written(tmp_path):
    host_facts.write_shims(tmp_path)

    for program in ("python", "python3", "pip", "torchrun"):
        assert os.access(tmp_path / program, os.X_OK)
    assert "-m torch.distributed.run" in (tmp_path / "torchrun").read_text()


def test_each_container_has_its_own_working_directory(bench):
    bench.run("sh", "-c", "touch mark", name="one")

    assert bench.run("ls", name="two") == ""


def test_a_missing_working_directory_is_created_in_the_container(mounting_engine, bench_of):
    out = bench_of(mounting_engine).run("sh", "-c", "pwd; touch x; ls", working_dir="/workspace-of-nobody")

    assert out == "/workspace-of-nobody\nx\n"
    assert not Path("/workspace-of-nobody").exists()


def test_files_of_a_container_have_the_usual_mode(bench):
    bench.run("sh", "-c", "touch mark")

    mode = (bench.engine.root / "containers/job-node-0/work/mark").stat().st_mode
    assert stat.S_IMODE(mode) == 0o644


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no CPU binding here")
def test_without_control_groups_a_cpu_limit_sets_the_affinity(bench, monkeypatch):
    monkeypatch.setattr(cgroup_limits, "find_controllers", dict)

    out = bench.run("python", "-c", "import os; print(len(os.sched_getaffinity(0)))", cpu_limit=0.5)

    assert out == "1\n"


needs_groups = pytest.mark.skipif(
    not {"memory", "cpu"} <= set(cgroup_limits.find_controllers()),
    reason="no control groups can be made here",
)


@needs_groups
def test_exceeding_the_memory_limit_is_an_oom_kill(bench):
    bench.run("python", "-c", "x = bytearray(300 << 20)", memory_limit=64 << 20)

    ended = bench.engine.inspect_container("job-node-0").exit
    assert ended.code == 137
    assert ended.oom_killed


@needs_groups
def test_a_cpu_limit_throttles_and_its_group_is_removed(bench):
    program = "import time; a = time.time()\nwhile time.process_time() < 0.2: pass\nprint(time.time() - a)"

    took = float(bench.run("python", "-S", "-c", program, cpu_limit=0.25))
    groups = json.loads((bench.engine.root / "containers/job-node-0/spec.json").read_text())["launch"][
        "groups"
    ]

    assert took > 0.5
    assert groups
    assert not any(Path(group["path"]).exists() for group in groups)


@needs_groups
def test_exec_is_under_the_limits_too(bench):
    bench.start("sleep", "60", memory_limit=64 << 20)

    code, _ = bench.engine.exec("job-node-0", ("python", "-c", "x = bytearray(300 << 20)"), timeout=30)

    assert code == 137


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
def test_root_runs_the_command_as_the_specified_user(bench):
    out = bench.run("sh", "-c", "id -u; id -g; touch mine", security=Security(user="1234:1235"))

    assert out.split() == ["1234", "1235"]


def test_a_missing_device_is_refused(bench):
    with pytest.raises(StartFailed, match=r"no device nvidia\.com/gpu 99"):
        bench.create("true", devices={"nvidia.com/gpu": ("99",)})


@pytest.fixture
def four_gpus(tmp_path, monkeypatch):
    """A machine with four NVIDIA GPUs, as far as ``nvidia-smi`` says."""
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n3\\n'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("choice", "visible"),
    [("0", "1"), ("1", "3"), ("1,0", "3,1"), ("2", ""), ("", ""), ("-1", ""), ("all", "1,3")],
)
def test_a_manifest_chooses_among_the_assigned_devices_only(state_dir, bench_of, choice, visible):
    bench = bench_of(ProcessEngine(state_dir))

    shown = bench.run(
        "sh", "-c", "echo $CUDA_VISIBLE_DEVICES", devices={"nvidia.com/gpu": ("1", "3")},
        env={"CUDA_VISIBLE_DEVICES": choice},
    )  # fmt: skip

    assert shown == f"{visible}\n"


@pytest.mark.usefixtures("four_gpus")
def test_only_assigned_devices_are_visible(state_dir, bench_of):
    bench = bench_of(ProcessEngine(state_dir))

    inventory = bench.engine.devices()
    assigned = bench.run("sh", "-c", "echo $CUDA_VISIBLE_DEVICES", devices={"nvidia.com/gpu": ("1", "3")})
    none = bench.run("sh", "-c", 'echo "${CUDA_VISIBLE_DEVICES-unset}"', name="none")

    assert inventory == {"nvidia.com/gpu": ("0", "1", "2", "3")}
    assert assigned == "1,3\n"
    assert none == "\n"


# Limitations


def test_limitations_are_listed(rewriting_engine, monkeypatch):
    monkeypatch.setattr(cgroup_limits, "find_controllers", dict)
    spec = ContainerSpec(
        name="c", image="img:1", labels={}, memory_limit=1, cpu_limit=1.5, tty=True, hosts={"a": "127.0.0.2"},
        mounts=(Mount(kind="bind", target="/d", source="/tmp", read_only=True),),
        security=Security(privileged=True, cap_drop=("ALL",)),
    )  # fmt: skip

    found = " ".join(rewriting_engine.limitations(spec))

    for word in ("img:1", "memory limit", "CPU", "terminal", "resolve", "/d", "privileged", "Capabilities"):
        assert word in found


def test_the_only_limitation_of_a_plain_specification_is_the_image(mounting_engine):
    found = mounting_engine.limitations(
        ContainerSpec(name="c", image="img:1", labels={}, hosts={"a": "127.0.0.2"})
    )

    assert found == ["The image img:1 is not used: the command runs with the programs of this machine."]


def test_a_volume_that_would_hide_the_interpreter_is_listed_as_rewritten(mounting_engine):
    mounts = (Mount(kind="tmpfs", target=sys.prefix), Mount(kind="tmpfs", target="/fine"))

    found = mounting_engine.limitations(ContainerSpec(name="c", image="img:1", labels={}, mounts=mounts))

    assert found[1:] == [
        f"Volumes are not mounted ({sys.prefix}): their paths are replaced in command, arguments and environment."
    ]


def test_info_describes_the_machine(engine):
    info = engine.info()

    assert info.name == "process"
    assert info.version.count(".") == 2
    assert info.cpus >= 1
    assert info.memory > 1 << 20
