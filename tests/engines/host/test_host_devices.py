"""Devices of the host: CDI specs, and GPUs without one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.engines.host import cdi, host_devices

A_SPEC = {
    "cdiVersion": "0.3.0",
    "kind": "a.example/gpu",
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/a0"}]}}],
}


def test_cdi_specs_in_yaml_and_json_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(A_SPEC))
    (tmp_path / "b.yaml").write_text(
        "cdiVersion: 0.5.0\nkind: b.example/gpu\ndevices:\n- name: all\n- name: '0'\n"
    )
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.txt").write_text("no specification")

    found = cdi.read_inventory([tmp_path, tmp_path / "missing"])

    assert cdi.group_by_kind(found) == {"a.example/gpu": ("0",), "b.example/gpu": ("0",)}
    assert found[0].nodes == ("/dev/a0",)


def test_a_gpu_that_is_listed_by_index_and_uuid_counts_once() -> None:
    names = ("0", "1", "10", "2", "GPU-4cf8db2d", "GPU-8a91f0aa", "all")
    devices = [cdi.CdiDevice(kind="nvidia.com/gpu", name=name, nodes=()) for name in names]

    assert cdi.group_by_kind(devices) == {"nvidia.com/gpu": ("0", "1", "2", "10")}


def test_mig_partitions_are_devices() -> None:
    devices = [cdi.CdiDevice(kind="nvidia.com/gpu", name=name, nodes=()) for name in ("1:0", "0:1", "0:0")]

    assert cdi.group_by_kind(devices) == {"nvidia.com/gpu": ("0:0", "0:1", "1:0")}


def test_gpus_without_a_cdi_spec_are_listed_by_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert host_devices.list_devices([tmp_path / "none"])["nvidia.com/gpu"] == ("0", "1")
