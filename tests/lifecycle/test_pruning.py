"""Manifests that go, and folders that only seem to: what is removed, and what is not."""

from __future__ import annotations

import shutil

import pytest

from reconciler import names
from tests.support import images
from tests.support.flags import Flags
from tests.support.manifests import UNTIL_TERM, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


@pytest.mark.one_engine
def test_a_manifest_removed_while_the_daemon_was_down_is_pruned(containers: Workspace) -> None:
    job = unique("gone")
    flags = Flags(containers)
    containers.write("rt.yaml", flags.runtime(nodes=2))
    path = containers.write("j.yaml", shell(job, "rt", f"{flags.note('up')}echo here; {flags.wait()}"))
    with containers.daemon() as daemon:
        flags.until_noted(2)
        containers.until_phase(job, "Running")
        daemon.kill()
    path.unlink()

    with containers.daemon():
        eventually(lambda: not containers.containers(job), "containers gone")
        with containers.api() as client:
            eventually(lambda: not client.networks.list(names=[f"{job}-net"]), "network gone")
        eventually(lambda: not containers.status(job), "sidecar gone")

    assert containers.log(job, 1) == "here\n"


@pytest.mark.one_engine
def test_orphans_without_record_or_manifest_are_pruned(containers: Workspace) -> None:
    job = unique("orphan")
    labels = names.job_labels(namespace="default", job=job, uid="u", instance=containers.instance)
    place = {names.LABEL_STEP: "node", names.LABEL_INDEX: "0", names.LABEL_CONTAINER: "node"}
    with containers.api() as client:
        client.containers.run(
            images.reference(),
            ["sh", "-c", UNTIL_TERM],
            name=f"{job}-node-0",
            labels=labels | place,
            detach=True,
        )
        client.networks.create(f"{job}-net", labels=labels)
    containers.write("rt.yaml", Flags(containers).runtime())

    with containers.daemon():
        eventually(lambda: not containers.containers(job), "containers gone")
        with containers.api() as client:
            eventually(lambda: not client.networks.list(names=[f"{job}-net"]), "network gone")


@pytest.mark.one_engine
@pytest.mark.parametrize("loss", ["vanished", "emptied"])
def test_a_folder_lost_all_at_once_prunes_nothing(workspace: Workspace, loss: str) -> None:
    job = unique("lost")
    flags = Flags(workspace)
    workspace.write("j.yaml", flags.runtime(), shell(job, "rt", f"{flags.note('up')}{flags.wait()}"))
    aside = workspace.root / "aside"
    with workspace.daemon("--resync", "1") as daemon:
        flags.until_noted(1)
        workspace.until_phase(job, "Running")
        before = workspace.status(job)["nodes"][0]["containerID"]

        workspace.specs.rename(aside)
        if loss == "emptied":
            # As after an unmount: the mount point is there, with nothing in it.
            workspace.specs.mkdir()
        daemon.kill()
    with workspace.daemon("--resync", "1"):
        eventually(lambda: "engine connected" in _log_of(workspace), "the second daemon has found its engine")
        if loss == "emptied":
            workspace.specs.rmdir()
        aside.rename(workspace.specs)
        flags.raise_flag()
        status = workspace.until_phase(job, "Complete")

    assert status["nodes"][0]["containerID"] == before
    assert flags.notes() == ["up"]


def _log_of(workspace: Workspace) -> str:
    newest = max(workspace.root.glob("daemon-*.log"), key=lambda path: path.stat().st_mtime)
    return newest.read_text()


@pytest.mark.one_engine
def test_allow_empty_confirms_that_the_folder_is_meant_to_be_empty(containers: Workspace) -> None:
    job = unique("meant")
    flags = Flags(containers)
    containers.write("j.yaml", flags.runtime(), shell(job, "rt", f"{flags.note('up')}{flags.wait()}"))
    with containers.daemon() as daemon:
        flags.until_noted(1)
        daemon.kill()
    shutil.rmtree(containers.specs)
    containers.specs.mkdir()

    # More than once: what a pass leaves there must not make it look like a folder that was worked on.
    containers.cli("run", "--once")
    containers.cli("run", "--once")
    kept, left = containers.containers(job), list(containers.specs.iterdir())
    containers.cli("run", "--once", "--allow-empty")

    assert len(kept) == 1
    assert left == []
    assert containers.containers(job) == []


@pytest.mark.one_engine
def test_manifests_that_are_all_gone_at_once_remove_nothing_until_they_are_back(
    containers: Workspace,
) -> None:
    job, other = unique("kept"), unique("kept")
    flags = Flags(containers)
    script = f"{flags.note('up')}{flags.wait()}"
    containers.write("a.yaml", flags.runtime(), shell(job, "rt", script))
    containers.write("b.yaml", shell(other, "rt", script))
    manifests = {path: path.read_bytes() for path in containers.specs.glob("*.yaml")}
    with containers.daemon() as daemon:
        flags.until_noted(2)
        for path in containers.specs.iterdir():
            path.unlink()
        eventually(lambda: "manifests missing" in daemon.text(), "it is said")
        daemon.kill()
        for path, data in manifests.items():
            path.write_bytes(data)
    with containers.daemon():
        # One of them is removed: that is believed, and the other goes on.
        eventually(lambda: containers.phase(job) == containers.phase(other) == "Running", "both are known")
        kept = len(containers.containers(job)), len(containers.containers(other))
        (containers.specs / "b.yaml").unlink()
        eventually(lambda: not containers.containers(other), "what is removed alone goes")

    assert kept == (1, 1)
    assert len(containers.containers(job)) == 1


def test_volumes_of_the_jobs_own_go_with_it_and_others_stay(containers: Workspace) -> None:
    job, other = unique("vols"), unique("theirs")
    own = f"{job}-own"
    template = {
        "metadata": {"name": "own"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    policies = [{"templates": [template], "retentionPolicy": {"whenDeleted": "Delete"}}]
    pod = {
        "volumes": [
            {"name": "other", "persistentVolumeClaim": {"claimName": other}},
            {"name": "scratch", "emptyDir": {}},
        ]
    }
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("own", "other", "scratch")]
    rt = Flags(containers).runtime(
        pod=pod, container={"volumeMounts": mounts}, jobset={"volumeClaimPolicies": policies}
    )
    path = containers.write("j.yaml", rt, shell(job, "rt", "touch /own/x /other/x /scratch/x"))
    with containers.daemon("--allow-empty"), containers.api() as client:

        def volumes() -> set[str]:
            return {v.name for v in client.volumes.list()} & {own, other, f"{job}-node-0-scratch"}

        containers.until_phase(job, "Complete")
        # A claim outlives the job's end (its checkpoints are in it), scratch space does not.
        eventually(lambda: volumes() == {own, other}, "scratch space gone")
        path.unlink()
        eventually(lambda: volumes() == {other}, "the job's own claim gone")
        client.volumes.get(other).remove()
