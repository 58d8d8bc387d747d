"""Devices by their CDI names, with a stand-in for a GPU: a specification of this test's own vendor."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.engines.docker.docker_specs import container_body as docker_body
from reconciler.engines.host import cdi
from reconciler.engines.podman.podman_specs import container_body as podman_body
from reconciler.engines.specs import ContainerSpec
from reconciler.errors import Drifted, StartFailed
from tests.support.benches import Bench

FOLDER = Path("/etc/cdi")

#: An ordinary user's engine makes no device node: it shows the host's own, under the same path.
NODES = (
    {"0": "/dev/stand-in0", "1": "/dev/stand-in1", "all": "/dev/stand-inall"}
    if os.geteuid() == 0
    else {"0": "/dev/net/tun", "1": "/dev/fuse", "all": "/dev/fuse"}
)


@dataclass(frozen=True)
class Vendor:
    """A vendor of two devices; each adds a node and a variable."""

    kind: str
    file: Path


def specification(kind: str, names: tuple[str, ...]) -> dict[str, object]:
    def device(name: str) -> dict[str, object]:
        path = NODES[name]
        node = {"path": path, "hostPath": "/dev/null", "type": "c", "major": 1, "minor": 3}
        node = node if os.geteuid() == 0 else {"path": path}
        return {"name": name, "containerEdits": {"env": [f"STAND_IN_{name}=yes"], "deviceNodes": [node]}}

    return {"cdiVersion": "0.3.0", "kind": kind, "devices": [device(name) for name in names]}


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    kind = f"rt-{uuid.uuid4().hex[:8]}.example/gpu"
    file = FOLDER / f"{kind.replace('/', '-')}.json"
    try:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(json.dumps(specification(kind, ("0", "1", "all"))))
    except OSError as error:
        pytest.skip(f"CDI specifications can't be written here: {error}")
    yield Vendor(kind, file)
    file.unlink(missing_ok=True)


@pytest.mark.engine
def test_a_container_gets_the_devices_it_was_assigned(podman: Bench, vendor: Vendor) -> None:
    script = f"ls -d {NODES['0']} {NODES['1']} 2>/dev/null; env | grep STAND_IN"

    printed = podman.run(script, devices={vendor.kind: ("1",)})

    assert printed.split() == [NODES["1"], "STAND_IN_1=yes"]


@pytest.mark.engine
def test_the_inventory_has_each_device_once(podman: Bench, vendor: Vendor) -> None:
    assert podman.engine.devices()[vendor.kind] == ("0", "1")


@pytest.mark.engine
def test_a_device_that_is_not_there_is_refused_and_leaves_nothing(podman: Bench, vendor: Vendor) -> None:
    with pytest.raises(StartFailed, match=f"{vendor.kind}=7") as refused:
        podman.create(script="true", devices={vendor.kind: ("7",)})

    assert "0, 1" in refused.value.message
    assert podman.engine.list_containers(podman.labels) == []


@pytest.mark.engine
def test_a_class_that_nobody_describes_fails_the_start(podman: Bench) -> None:
    container = podman.create(script="true", devices={"nobody.example/gpu": ("0",)})

    with pytest.raises(StartFailed, match=r"nobody\.example/gpu=0") as refused:
        podman.engine.start_container(container)

    assert "nvidia-ctk cdi" in refused.value.remedy


@pytest.mark.engine
def test_a_device_that_was_dropped_in_silence_is_found(podman: Bench, vendor: Vendor) -> None:
    container = podman.create(script="sleep 60", devices={vendor.kind: ("0",)})
    # The engine now knows a device of that name that adds nothing; what was promised is another one.
    podman.engine._cdi_asked.put(container, None, (f"{vendor.kind}=1",))  # type: ignore[attr-defined]

    with pytest.raises(Drifted, match="devices: asked for"):
        podman.engine.start_container(container)

    assert podman.engine.list_containers(podman.labels) == []


@pytest.mark.engine
def test_docker_without_a_gpu_says_what_to_install(docker: Bench) -> None:
    if docker.engine.info().details["cdi"] or cdi.nvidia_gpus():
        pytest.skip("this Docker could give a GPU")
    with pytest.raises(StartFailed) as refused:
        docker.start(script="true", devices={"nvidia.com/gpu": ("0",)})

    assert "NVIDIA Container Toolkit" in refused.value.remedy


@pytest.mark.engine
def test_docker_without_cdi_refuses_other_devices(docker: Bench) -> None:
    if docker.engine.info().details["cdi"]:
        pytest.skip("this Docker resolves CDI names")
    with pytest.raises(StartFailed, match="CDI"):
        docker.create(script="true", devices={"vendor.example/gpu": ("0",)})


def spec(**devices: tuple[str, ...]) -> ContainerSpec:
    return ContainerSpec(
        name="c", image="i", labels={}, devices={kind.replace("_", ".") + "/gpu": names for kind, names in devices.items()}
    )  # fmt: skip


def test_podman_is_given_cdi_names() -> None:
    body = podman_body(spec(nvidia_com=("0", "1"), amd_com=("0",)), image="i", inventory=[
        cdi.CdiDevice(kind="amd.com/gpu", name="0", nodes=())
    ])  # fmt: skip

    assert [device["path"] for device in body["devices"]] == [
        "nvidia.com/gpu=0",
        "nvidia.com/gpu=1",
        "amd.com/gpu=0",
    ]


def test_docker_is_given_device_requests() -> None:
    old = docker_body(spec(nvidia_com=("0", "1")), with_cdi=False)["HostConfig"]["DeviceRequests"]
    new = docker_body(spec(nvidia_com=("0", "1")), with_cdi=True)["HostConfig"]["DeviceRequests"]

    assert old == [{"DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}]
    assert new == [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}]


def test_specifications_in_yaml_and_json_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(specification("a.example/gpu", ("0",))))
    (tmp_path / "b.yaml").write_text(
        "cdiVersion: 0.5.0\nkind: b.example/gpu\ndevices:\n- name: all\n- name: '0'\n"
    )
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.txt").write_text("no specification")

    found = cdi.inventory([tmp_path, tmp_path / "missing"])

    assert cdi.offered(found) == {"a.example/gpu": ("0",), "b.example/gpu": ("0",)}
    assert found[0].nodes == (NODES["0"],)


def test_a_gpu_that_is_listed_by_index_and_uuid_counts_once() -> None:
    names = ("0", "1", "10", "2", "GPU-4cf8db2d", "GPU-8a91f0aa", "all")
    devices = [cdi.CdiDevice(kind="nvidia.com/gpu", name=name, nodes=()) for name in names]

    assert cdi.offered(devices) == {"nvidia.com/gpu": ("0", "1", "2", "10")}


def test_parts_of_a_gpu_are_devices() -> None:
    devices = [cdi.CdiDevice(kind="nvidia.com/gpu", name=name, nodes=()) for name in ("1:0", "0:1", "0:0")]

    assert cdi.offered(devices) == {"nvidia.com/gpu": ("0:0", "0:1", "1:0")}


def test_gpus_without_a_specification_are_asked_of_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert cdi.host_devices([tmp_path / "none"])["nvidia.com/gpu"] == ("0", "1")
