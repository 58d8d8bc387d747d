"""Devices by their CDI names, with a stand-in for a GPU: a CDI spec of this test's own vendor."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.engines.host import host_devices
from reconciler.errors import Drifted, StartFailed
from tests.support.benches import Bench

pytestmark = pytest.mark.engine

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


def cdi_spec(kind: str, names: tuple[str, ...]) -> dict[str, object]:
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
        file.write_text(json.dumps(cdi_spec(kind, ("0", "1", "all"))))
    except OSError as error:
        pytest.skip(f"CDI specifications can't be written here: {error}")
    yield Vendor(kind, file)
    file.unlink(missing_ok=True)


def test_a_container_gets_its_assigned_devices(podman: Bench, vendor: Vendor) -> None:
    script = f"ls -d {NODES['0']} {NODES['1']} 2>/dev/null; env | grep STAND_IN"

    printed = podman.run(script, devices={vendor.kind: ("1",)})

    assert printed.split() == [NODES["1"], "STAND_IN_1=yes"]


def test_the_inventory_has_each_device_once(podman: Bench, vendor: Vendor) -> None:
    assert podman.engine.devices()[vendor.kind] == ("0", "1")


def test_a_missing_device_fails_the_create(podman: Bench, vendor: Vendor) -> None:
    with pytest.raises(StartFailed, match=f"{vendor.kind}=7") as refused:
        podman.create(script="true", devices={vendor.kind: ("7",)})

    assert "0, 1" in refused.value.message
    assert podman.engine.list_containers(podman.labels) == []


def test_a_device_class_without_a_cdi_spec_fails_the_start(podman: Bench) -> None:
    container = podman.create(script="true", devices={"nobody.example/gpu": ("0",)})

    with pytest.raises(StartFailed, match=r"nobody\.example/gpu=0") as refused:
        podman.engine.start_container(container)

    assert "nvidia-ctk cdi" in refused.value.remedy


def test_a_device_that_the_engine_dropped_fails_the_start(podman: Bench, vendor: Vendor) -> None:
    container = podman.create(script="sleep 60", devices={vendor.kind: ("0",)})
    # The engine now knows a device of that name that adds nothing; what was promised is another one.
    podman.engine._requested_devices.put(container, (f"{vendor.kind}=1",))  # type: ignore[attr-defined]

    with pytest.raises(Drifted, match="devices: asked for"):
        podman.engine.start_container(container)

    assert podman.engine.list_containers(podman.labels) == []


def test_docker_without_a_gpu_names_the_toolkit_to_install(docker: Bench) -> None:
    if docker.engine.info().details["cdi"] or host_devices.nvidia_gpus():
        pytest.skip("this Docker could give a GPU")
    with pytest.raises(StartFailed) as refused:
        docker.start(script="true", devices={"nvidia.com/gpu": ("0",)})

    assert "NVIDIA Container Toolkit" in refused.value.remedy


def test_docker_without_cdi_rejects_other_devices(docker: Bench) -> None:
    if docker.engine.info().details["cdi"]:
        pytest.skip("this Docker resolves CDI names")
    with pytest.raises(StartFailed, match="CDI"):
        docker.create(script="true", devices={"vendor.example/gpu": ("0",)})
