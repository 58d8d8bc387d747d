"""Hands on the engine behind the daemon's back: noticed at once, and repaired as the job's policy says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from reconciler import names
from tests.support import images
from tests.support.flags import Flags
from tests.support.manifests import condition, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


@contextlib.contextmanager
def _running(workspace: Workspace, flags: Flags, job: str, **parts: Any) -> Iterator[docker.DockerClient]:
    """A daemon, and a job of two nodes that runs; they end when the flag is raised."""
    script = f"{flags.note('$RANK $RECONCILER_ATTEMPT')}echo here; {flags.wait()}"
    workspace.write("j.yaml", flags.runtime(nodes=2, **parts), shell(job, "rt", script))
    with workspace.daemon(), workspace.api() as client:
        flags.until_noted(2)
        workspace.until_phase(job, "Running")
        eventually(lambda: len(workspace.containers(job)) == 2, "two containers")
        yield client


def test_a_removed_container_is_a_failure_of_its_rank(containers: Workspace) -> None:
    job, flags = unique("rm"), Flags(containers)
    with _running(containers, flags, job) as client:
        client.api.remove_container(f"{job}-node-1", force=True)
        status = containers.until_phase(job, "Failed")

    assert status["failure"]["rank"] == 1
    # Podman ends it before it removes it, by TERM first; each is the truth.
    message = status["failure"]["message"]
    assert any(word in message for word in ("removed", "SIGTERM", "SIGKILL"))
    assert containers.log(job, 1) == "here\n"


@pytest.mark.one_engine
def test_a_removed_container_restarts_the_gang_where_restarts_are_left(containers: Workspace) -> None:
    job, flags = unique("rmgang"), Flags(containers)
    with _running(containers, flags, job, jobset={"failurePolicy": {"maxRestarts": 2}}) as client:
        client.api.remove_container(f"{job}-node-0", force=True)
        assert sorted(flags.until_noted(4)[2:]) == ["0 1", "1 1"]
        flags.raise_flag()
        status = containers.until_phase(job, "Complete")

    assert status["restarts"] == 1


@pytest.mark.one_engine
def test_a_container_stopped_by_hand_is_a_failure_with_its_signal(containers: Workspace) -> None:
    job, flags = unique("stop"), Flags(containers)
    with _running(containers, flags, job) as client:
        client.api.kill(f"{job}-node-1", "KILL")
        status = containers.until_phase(job, "Failed")

    assert (status["failure"]["rank"], status["failure"]["exitCode"]) == (1, 137)
    assert "SIGKILL" in condition(status, "Failed")["message"]


def test_a_paused_container_is_shown_and_goes_on(containers: Workspace) -> None:
    job, flags = unique("pause"), Flags(containers)
    # Docker's unpause is heard by the next listing.
    containers.settings["RESYNC"] = "3"

    def states() -> list[str]:
        return [n["state"] for n in containers.status(job)["nodes"]]

    with _running(containers, flags, job) as client:
        client.api.pause(f"{job}-node-1")
        eventually(lambda: states() == ["running", "paused"], "shown as paused")
        assert containers.phase(job) == "Running"
        client.api.unpause(f"{job}-node-1")
        eventually(lambda: states() == ["running", "running"], "shown as running")
        flags.raise_flag()
        containers.until_phase(job, "Complete")

    assert len(flags.notes()) == 2


def test_a_removed_network_is_followed_by_a_fresh_gang(containers: Workspace) -> None:
    job, flags = unique("net"), Flags(containers)
    # A network's end is heard by the next listing.
    containers.settings["RESYNC"] = "3"
    with _running(containers, flags, job) as client:
        if containers.engine == "podman":
            # The API has no force; the command would take the containers along.
            for rank in range(2):
                client.api.disconnect_container_from_network(f"{job}-node-{rank}", f"{job}-net", force=True)
        else:
            for rank in range(2):
                client.api.disconnect_container_from_network(f"{job}-node-{rank}", f"{job}-net")
        client.api.remove_network(f"{job}-net")
        assert sorted(flags.until_noted(4)[2:]) == ["0 1", "1 1"]
        flags.raise_flag()
        status = containers.until_phase(job, "Complete")

    assert "network was removed" in containers.said(job)
    assert status["attempt"] == 1


@pytest.mark.one_engine
def test_a_renamed_container_is_still_its_rank(containers: Workspace) -> None:
    job, flags = unique("name"), Flags(containers)
    with _running(containers, flags, job) as client:
        client.api.rename(f"{job}-node-1", f"{job}-called-otherwise")
        flags.raise_flag()
        containers.until_phase(job, "Complete")
        eventually(lambda: not containers.containers(job), "containers gone")

    assert flags.notes() in (["0 0", "1 0"], ["1 0", "0 0"])
    assert containers.log(job, 1) == "here\n"


@pytest.mark.one_engine
def test_what_carries_another_instances_label_is_never_touched(containers: Workspace) -> None:
    job = unique("theirs")
    labels = names.job_labels(namespace="default", job=job, uid="u", instance=f"other-{job}")
    with containers.api() as client:
        theirs = client.containers.create(
            images.reference(), ["sleep", "600"], name=f"{job}-node-0", labels=labels
        )
        network = client.networks.create(f"{job}-net", labels=labels)
        try:
            containers.write("j.yaml", Flags(containers).runtime(), shell(job, "rt", "true"))
            with containers.daemon():
                eventually(lambda: "another specs folder" in containers.said(job), "the conflict is said")
                (containers.specs / "j.yaml").unlink()
                eventually(lambda: not containers.documents(), "the job is gone")
            theirs.reload()
            network.reload()
        finally:
            theirs.remove(force=True)
            network.remove()
    assert theirs.status == "created"
