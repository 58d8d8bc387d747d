"""No variable gives a container devices of the host past the policy and the allocation.

NVIDIA's container runtime gives every GPU to whoever sets ``NVIDIA_VISIBLE_DEVICES=all``: in a manifest, in a
ConfigMap, in an image. An earlier version passed it on.
"""

from __future__ import annotations

import io

import pytest

from tests.support.images import REPOSITORY
from tests.support.manifests import UNTIL_TERM, runtime, trainjob
from tests.support.workspaces import Workspace, environment_of, unique

pytestmark = [pytest.mark.engine]

CUDA_IMAGE = f"""
FROM {REPOSITORY}:base
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
"""


def test_neither_image_nor_manifest_nor_config_map_gives_gpus(containers: Workspace) -> None:
    job = unique("gpus")
    image = f"{REPOSITORY}-{job}:cuda"
    source = [{"configMapRef": {"name": "gpus"}}]
    all_gpus = [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]
    values = {"NVIDIA_VISIBLE_DEVICES": "all", "AMD_VISIBLE_DEVICES": "all", "OTHER": "kept"}
    containers.write(
        "map.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gpus"}, "data": values}
    )
    containers.write("runtime.yaml", runtime("own", image, container={"envFrom": source}))
    containers.write("job.yaml", trainjob(job, "own", "sh", "-c", UNTIL_TERM, numNodes=1))
    containers.write("by-env.yaml", trainjob(f"{job}-env", "own", "sh", "-c", UNTIL_TERM, env=all_gpus))

    with containers.api() as client:
        client.images.build(fileobj=io.BytesIO(CUDA_IMAGE.encode()), tag=image, pull=False, rm=True)
        try:
            with containers.daemon():
                containers.until_phase(job, "Running")
                containers.until_phase(f"{job}-env", "Running")
                found = [environment_of(c) for c in containers.containers()]
                said = containers.said(job), containers.said(f"{job}-env")
        finally:
            containers.clean()
            client.images.remove(image, force=True)

    assert [env["NVIDIA_VISIBLE_DEVICES"] for env in found] == ["void", "void"]
    assert [env["OTHER"] for env in found] == ["kept", "kept"]
    assert not any("AMD_VISIBLE_DEVICES" in env for env in found)
    assert all("NVIDIA_VISIBLE_DEVICES" in text for text in said)
