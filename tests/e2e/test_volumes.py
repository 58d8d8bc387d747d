"""Volumes of a pod as its containers see them: what a cluster's user relies on."""

from __future__ import annotations

import os

import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique

pytestmark = pytest.mark.engine

SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "keys"},
    "stringData": {"key": "open sesame"},
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to a group that it is not in")
def test_a_private_secret_is_read_by_fs_group_and_memory_is_one_at_both_places(containers: Workspace) -> None:
    job = unique("volumes")
    pod = {
        "securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000},
        "volumes": [
            {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
    }
    mounts = [
        {"name": "keys", "mountPath": "/keys"},
        {"name": "memory", "mountPath": "/one"},
        {"name": "memory", "mountPath": "/other"},
    ]
    script = "stat -Lc '%a %u:%g' /keys/key; cat /keys/key; echo; echo seen > /one/it; cat /other/it"
    containers.write("secret.yaml", SECRET)
    containers.write(
        "rt.yaml", runtime("rt", images.reference(), pod=pod, container={"volumeMounts": mounts})
    )
    containers.write("job.yaml", shell(job, "rt", script))

    containers.cli("run", "--wait")

    printed = containers.cli("logs", job).stdout
    assert containers.phase(job) == "Complete", printed
    assert printed.split("\n") == ["440 0:2000", "open sesame", "seen", ""]
