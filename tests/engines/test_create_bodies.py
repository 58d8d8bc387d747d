"""Devices in the create requests of Podman and Docker."""

from __future__ import annotations

from reconciler.engines.docker.docker_create_body import docker_create_body
from reconciler.engines.host import cdi
from reconciler.engines.podman.podman_create_body import podman_create_body
from reconciler.engines.specs import ContainerSpec


def spec(**devices: tuple[str, ...]) -> ContainerSpec:
    return ContainerSpec(
        name="c", image="i", labels={}, devices={kind.replace("_", ".") + "/gpu": names for kind, names in devices.items()}
    )  # fmt: skip


def test_podmans_request_has_cdi_names() -> None:
    body = podman_create_body(spec(nvidia_com=("0", "1"), amd_com=("0",)), inventory=[
        cdi.CdiDevice(kind="amd.com/gpu", name="0", nodes=())
    ])  # fmt: skip

    assert [device["path"] for device in body["devices"]] == [
        "nvidia.com/gpu=0",
        "nvidia.com/gpu=1",
        "amd.com/gpu=0",
    ]


def test_dockers_request_has_device_requests() -> None:
    old = docker_create_body(spec(nvidia_com=("0", "1")), with_cdi=False)["HostConfig"]["DeviceRequests"]
    new = docker_create_body(spec(nvidia_com=("0", "1")), with_cdi=True)["HostConfig"]["DeviceRequests"]

    assert old == [{"DeviceIDs": ["0", "1"], "Capabilities": [["gpu"]]}]
    assert new == [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]}]
