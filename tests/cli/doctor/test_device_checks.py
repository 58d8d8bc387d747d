"""Checks of GPUs and of the CDI specifications that describe them."""

from __future__ import annotations

import json

import pytest

from reconciler.cli.doctor.device_checks import check_cdi_specifications, check_gpus
from reconciler.engines.podman.podman_engine import PodmanEngine


def specification(*paths: str) -> str:
    nodes = [{"path": path} for path in paths]
    return json.dumps(
        {
            "cdiVersion": "0.5.0",
            "kind": "nvidia.com/gpu",
            "devices": [{"name": "0", "containerEdits": {"deviceNodes": nodes}}],
            "containerEdits": {"mounts": [{"hostPath": "/usr/lib/libcuda.so.1", "containerPath": "/x"}]},
        }
    )


def test_specification_of_missing_paths_is_stale(machine):
    files = {
        "etc/cdi/nvidia.json": specification("/dev/nvidia0"),
        "dev/nvidia0": "",
        "usr/bin/nvidia-ctk": "",
    }

    stale = check_cdi_specifications(machine(files))
    true = check_cdi_specifications(machine({**files, "usr/lib/libcuda.so.1": ""}))

    assert stale.status == "fail"
    assert "/usr/lib/libcuda.so.1" in stale.detail
    assert stale.remedy == "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    assert (true.status, true.remedy) == ("ok", "")


@pytest.mark.parametrize("text", ["{", "- 1", "kind: 3\ndevices: 7\ncontainerEdits: [1]", "\x00"])
def test_malformed_specification(machine, text):
    assert check_cdi_specifications(machine({"etc/cdi/bad.yaml": text})).status in {"ok", "warn"}


def test_undescribed_gpu_needs_the_toolkit(machine):
    engine = PodmanEngine("unix:///nowhere.sock")
    bare = machine({"dev/nvidiactl": "", "etc/os-release": "ID=debian\n"})

    missing = check_gpus(engine, bare)
    with_tool = check_gpus(engine, machine({"usr/bin/nvidia-ctk": ""}))
    described = check_gpus(engine, machine({"etc/cdi/n.json": specification()}))
    engine.close()

    assert missing.status == "fail"
    assert missing.remedy.startswith(
        "sudo apt-get install -y nvidia-container-toolkit && sudo nvidia-ctk cdi"
    )
    assert with_tool.remedy.startswith("sudo nvidia-ctk cdi generate")
    assert described.status == "ok"
