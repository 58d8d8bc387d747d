"""Copies that carry a job's labels (`docker commit`, `podman container clone`) are nobody's rank.

People debug so. A copy is neither adopted, stopped nor removed, and the job does not mind it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from reconciler import names
from tests.support import images
from tests.support.flags import Flags
from tests.support.manifests import UNTIL_TERM, annotated, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

#: What a copy runs instead of the rank's command, which is in the image.
FOREVER = ["sh", "-c", UNTIL_TERM]


@contextlib.contextmanager
def _running(
    workspace: Workspace, name: str, *arguments: str, nodes: int = 1, **parts: Any
) -> Iterator[Flags]:
    """A daemon, and a job whose nodes run until the flag is raised."""
    flags = Flags(workspace)
    script = f"{flags.note('$RANK')}echo here; {flags.wait()}"
    workspace.settings["RESYNC"] = "2"
    workspace.write("j.yaml", flags.runtime(nodes=nodes, **parts), shell(name, "rt", script))
    with workspace.daemon(*arguments):
        flags.until_noted(nodes)
        workspace.until_phase(name, "Running")
        yield flags


@contextlib.contextmanager
def _committed(client: docker.DockerClient, container: str) -> Iterator[str]:
    """An image made of a container, its labels along with it."""
    image = f"localhost/{unique('debug')}:1"
    repository, tag = image.rsplit(":", 1)
    client.containers.get(container).commit(repository=repository, tag=tag)
    try:
        yield image
    finally:
        with contextlib.suppress(docker.errors.APIError):
            client.images.remove(image, force=True)


@contextlib.contextmanager
def _copy_on_network(workspace: Workspace, job: str, copy: str) -> Iterator[docker.DockerClient]:
    """A copy of the job's rank 0 that runs on the job's network, and is reported."""
    with workspace.api() as client, _committed(client, f"{job}-node-0") as image:
        client.containers.run(image, entrypoint=FOREVER, name=copy, detach=True, network=f"{job}-net")
        eventually(lambda: copy in workspace.said(job), "the copy is reported")
        yield client


def _id_of(workspace: Workspace, name: str) -> str:
    """The id of the container that has the name; empty where there is none."""
    return next((str(c["Id"]) for c in workspace.containers() if c["Name"].lstrip("/") == name), "")


def _state_of(client: docker.DockerClient, container: str) -> str:
    return str(client.api.inspect_container(container)["State"]["Status"])


def _networks(client: docker.DockerClient, job: str) -> list[str]:
    label = {"label": f"{names.LABEL_JOB}={job}"}
    return [network["Name"] for network in client.api.networks(filters=label)]


def _volumes(client: docker.DockerClient, job: str) -> list[str]:
    label = {"label": f"{names.LABEL_JOB}={job}"}
    return [volume["Name"] for volume in client.api.volumes(filters=label)["Volumes"] or ()]


def _events(workspace: Workspace, job: str, reason: str) -> list[dict[str, Any]]:
    return [e for e in workspace.status(job).get("events", []) if e["reason"] == reason]


def test_a_copy_that_ends_does_not_end_the_job(containers: Workspace) -> None:
    job, copy = unique("copy"), unique("eager")
    with _running(containers, job) as flags, containers.api() as client:
        rank = _id_of(containers, f"{job}-node-0")
        with _committed(client, rank) as image:
            client.containers.run(image, entrypoint=["true"], name=copy, detach=True)
            eventually(lambda: copy in containers.said(job) or _state_of(client, rank) != "running", "seen")
            eventually(lambda: _state_of(client, copy) == "exited", "the copy has ended")
            client.containers.run(image, entrypoint=["true"], name=f"{copy}-2", detach=True)
            eventually(lambda: f"{copy}-2" in containers.said(job), "the second is reported, too")

            assert containers.phase(job) == "Running"
            assert (_id_of(containers, f"{job}-node-0"), _state_of(client, rank)) == (rank, "running")
            assert len(_events(containers, job, "NotOurs")) == 2
            flags.raise_flag()
            containers.until_phase(job, "Complete")
            eventually(lambda: not _networks(client, job), "the network goes with the job")

            assert _state_of(client, copy) == "exited"
            assert flags.notes() == ["0"]
            assert containers.log(job, 0) == "here\n"
            assert [e.get("count", 1) for e in _events(containers, job, "NotOurs")] == [1, 1]


def test_a_copy_that_was_only_created_is_not_started(containers: Workspace) -> None:
    job, copy = unique("made"), unique("still")
    with _running(containers, job) as flags, containers.api() as client:
        rank = _id_of(containers, f"{job}-node-0")
        with _committed(client, rank) as image:
            client.containers.create(image, entrypoint=["true"], name=copy)
            eventually(lambda: copy in containers.said(job) or _state_of(client, rank) != "running", "seen")

            assert _state_of(client, rank) == "running"
            flags.raise_flag()
            containers.until_phase(job, "Complete")
            assert _state_of(client, copy) == "created"


@pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed")
def test_a_clone_of_podmans_own_command_is_left_alone(podman: Workspace) -> None:
    job = unique("clone")
    with _running(podman, job) as flags, podman.api() as client:
        rank = _id_of(podman, f"{job}-node-0")
        # Cloning is not in the API: the command works on the same store.
        conf = Path(podman.url.removeprefix("unix://")).with_name("containers.conf")
        environment = os.environ | ({"CONTAINERS_CONF": str(conf)} if conf.exists() else {})
        cloned = subprocess.run(
            ["podman", "container", "clone", rank],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if cloned.returncode == 0:
            clone = cloned.stdout.strip().splitlines()[-1]
        else:
            # Podman 4.3 panics over the options of some containers: made as the command would.
            labels = client.api.inspect_container(rank)["Config"]["Labels"]
            made = client.containers.create(
                images.reference(), ["true"], name=f"{job}-node-0-clone", labels=labels, network=f"{job}-net"
            )
            clone = str(made.id)
        name = client.api.inspect_container(clone)["Name"].lstrip("/")
        eventually(lambda: name in podman.said(job) or _state_of(client, rank) != "running", "seen")

        assert _state_of(client, rank) == "running"
        flags.raise_flag()
        podman.until_phase(job, "Complete")
        assert _state_of(client, clone) in {"created", "configured"}
        # It was created on the job's network, which Podman keeps for it.
        eventually(lambda: _events(podman, job, "StillInUse"), "the network's user is reported")
        client.api.remove_container(clone, force=True)
        eventually(lambda: not _networks(client, job), "the network goes when it is free")


def test_a_copy_keeps_the_network_and_volume_it_uses_and_nothing_else(containers: Workspace) -> None:
    job, copy = unique("net"), unique("sits")
    parts = {
        "pod": {"volumes": [{"name": "scratch", "emptyDir": {}}]},
        "container": {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
    }
    with (
        _running(containers, job, **parts) as flags,
        containers.api() as client,
        _committed(client, f"{job}-node-0") as image,
    ):
        client.containers.run(
            image,
            entrypoint=FOREVER,
            name=copy,
            detach=True,
            network=f"{job}-net",
            volumes={f"{job}-node-0-scratch": {"bind": "/scratch"}},
        )
        eventually(lambda: copy in containers.said(job), "the copy is reported")
        flags.raise_flag()
        status = containers.until_phase(job, "Complete")
        eventually(lambda: _events(containers, job, "StillInUse"), "the network's user is reported")

        assert status["nodes"][0]["exitCode"] == 0
        assert _state_of(client, copy) == "running"
        assert not _id_of(containers, f"{job}-node-0")
        assert len(_events(containers, job, "StillInUse")) == 1
        assert _volumes(client, job) == [f"{job}-node-0-scratch"]
        client.api.remove_container(copy, force=True)
        eventually(lambda: not _networks(client, job) + _volumes(client, job), "they go when they are free")


def test_a_job_is_deleted_and_made_again_while_a_copy_sits_on_its_network(containers: Workspace) -> None:
    job, copy = unique("again"), unique("stays")
    with _running(containers, job) as flags, _copy_on_network(containers, job, copy) as client:
        manifest = (containers.specs / "j.yaml").read_text()
        (containers.specs / "j.yaml").unlink()
        eventually(lambda: not containers.documents(), "record and sidecar are gone")
        eventually(lambda: not _id_of(containers, f"{job}-node-0"), "the rank is gone")

        assert _state_of(client, copy) == "running"
        assert _networks(client, job) == [f"{job}-net"]
        flags.raise_flag()
        containers.write("j.yaml", manifest)
        containers.until_phase(job, "Complete", seconds=90)
        (containers.specs / "j.yaml").unlink()
        eventually(lambda: not containers.documents(), "gone again")

        assert _state_of(client, copy) == "running"
        client.api.remove_container(copy, force=True)
        eventually(lambda: not _networks(client, job), "the network goes when it is free")


def test_a_copy_that_took_the_name_of_a_renamed_rank_is_no_rank(containers: Workspace) -> None:
    job = unique("name")
    with _running(containers, job) as flags, containers.api() as client:
        rank = _id_of(containers, f"{job}-node-0")
        with _committed(client, rank) as image:
            client.api.rename(rank, f"{job}-called-otherwise")
            copy = client.containers.run(image, entrypoint=["true"], name=f"{job}-node-0", detach=True).id
            eventually(
                lambda: str(copy)[:12] in containers.said(job) or containers.phase(job) != "Running", "seen"
            )

            assert _state_of(client, rank) == "running"
            flags.raise_flag()
            containers.until_phase(job, "Complete")
            eventually(
                lambda: rank not in {c["Id"] for c in containers.containers()}, "the rank goes, by its id"
            )
            assert _state_of(client, str(copy)) == "exited"

    assert flags.notes() == ["0"]


@pytest.mark.one_engine
def test_a_restart_whose_name_a_copy_has_says_so_and_goes_on_when_it_is_free(containers: Workspace) -> None:
    job = unique("taken")
    policy = {"job": {"backoffLimit": 3}, "pod": {"restartPolicy": "OnFailure"}}
    with _running(containers, job, **policy) as flags, containers.api() as client:
        rank = _id_of(containers, f"{job}-node-0")
        with _committed(client, rank) as image:
            client.api.rename(rank, f"{job}-called-otherwise")
            copy = str(
                client.containers.run(image, entrypoint=["true"], name=f"{job}-node-0", detach=True).id
            )
            eventually(lambda: copy[:12] in containers.said(job), "the copy is reported")
            client.api.kill(rank)
            eventually(lambda: "NameTaken" in containers.said(job), "it says who has the name")

            assert _state_of(client, copy) == "exited"
            client.api.remove_container(copy)
            flags.raise_flag()
            containers.until_phase(job, "Complete")

    assert flags.notes() == ["0", "0"]


@pytest.mark.one_engine
def test_a_copy_runs_on_when_the_daemon_stops_its_jobs(containers: Workspace) -> None:
    job, copy = unique("exit"), unique("on")
    with contextlib.ExitStack() as stack:
        with _running(containers, job, "--stop-jobs-on-exit"):
            client = stack.enter_context(containers.api())
            image = stack.enter_context(_committed(client, f"{job}-node-0"))
            client.containers.run(image, entrypoint=FOREVER, name=copy, detach=True)
            eventually(lambda: copy in containers.said(job), "the copy is reported")

        assert _state_of(client, copy) == "running"
        assert not _id_of(containers, f"{job}-node-0")


@pytest.mark.one_engine
def test_a_copy_runs_on_where_containers_are_kept_at_the_end(containers: Workspace) -> None:
    job, copy = unique("kept"), unique("runs")
    with (
        _running(containers, job, "--no-auto-remove") as flags,
        containers.api() as client,
        _committed(client, f"{job}-node-0") as image,
    ):
        client.containers.run(image, entrypoint=FOREVER, name=copy, detach=True)
        eventually(lambda: copy in containers.said(job), "the copy is reported")
        flags.raise_flag()
        containers.until_phase(job, "Complete")
        rerun = containers.cli("rerun", job)
        eventually(lambda: len(flags.notes()) == 2, "it has run again")
        containers.until_phase(job, "Complete")

        assert rerun.returncode == 0
        assert _state_of(client, copy) == "running"


@pytest.mark.one_engine
def test_an_image_that_was_committed_from_a_rank_can_be_a_jobs_image(containers: Workspace) -> None:
    job, other = unique("from"), unique("to")
    with (
        _running(containers, job) as flags,
        containers.api() as client,
        _committed(client, f"{job}-node-0") as image,
    ):
        containers.write("o.yaml", shell(other, "rt", "echo done", image=image))
        containers.until_phase(other, "Complete")

        assert containers.phase(job) == "Running"
        assert containers.log(other, 0) == "done\n"
        assert not _events(containers, job, "NotOurs") + _events(containers, other, "NotOurs")
        flags.raise_flag()
        containers.until_phase(job, "Complete")


@pytest.mark.one_engine
def test_neither_diff_nor_doctor_wants_a_copy_removed_as_a_leftover(containers: Workspace) -> None:
    job, copy = unique("advice"), unique("mine")
    with containers.api() as client, contextlib.ExitStack() as stack:
        with _running(containers, job) as flags:
            image = stack.enter_context(_committed(client, f"{job}-node-0"))
            client.containers.run(image, entrypoint=FOREVER, name=copy, detach=True)
            flags.raise_flag()
            containers.until_phase(job, "Complete")
            eventually(lambda: not _id_of(containers, f"{job}-node-0"), "the rank is gone")
            (containers.specs / "j.yaml").unlink()
            eventually(lambda: not containers.documents(), "the job is gone")
        diff = containers.cli("diff", "--allow-empty")
        doctor = containers.cli("doctor").stdout

        assert copy not in diff.stdout
        lines = [line for line in doctor.splitlines() if copy in line]
        assert lines
        assert not any("removes what is this folder's" in line for line in lines)
        assert _state_of(client, copy) == "running"


def test_record_and_sidecar_lost_the_job_goes_on_with_what_runs(workspace: Workspace) -> None:
    job = unique("lost")
    # What a container was given of the uid must not make it another one.
    uid_variable = {"name": "JOB_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    with _running(workspace, job, container={"env": [uid_variable]}) as flags:
        uid = next(d for d in workspace.documents() if d["kind"] == "TrainJob")["metadata"]["uid"]
    records = workspace.root / "state" / "reconciler" / "records"
    assert records.is_dir()
    shutil.rmtree(records)
    for sidecar in workspace.specs.rglob("*.status.yaml"):
        sidecar.unlink()
    with workspace.daemon():
        status = workspace.until_phase(job, "Running")
        document = next(d for d in workspace.documents() if d["kind"] == "TrainJob")
        flags.raise_flag()
        ended = workspace.until_phase(job, "Complete")

    assert document["metadata"]["uid"] == uid
    assert status["attempt"] == ended["attempt"] == 0
    assert "were lost" in workspace.said(job)
    assert flags.notes() == ["0"]


@pytest.mark.one_engine
def test_what_an_earlier_object_of_the_name_left_is_removed(containers: Workspace) -> None:
    job, flags = unique("left"), Flags(containers)
    labels = names.job_labels(
        namespace="default", job=job, uid="an-earlier-one", instance=containers.instance
    )
    labels |= {
        names.LABEL_STEP: "node",
        names.LABEL_INDEX: "0",
        names.LABEL_CONTAINER: "node",
        names.LABEL_ATTEMPT: "0",
        names.LABEL_RESTART: "0",
    }

    with containers.api() as client:
        left = client.containers.create(images.reference(), ["true"], name=f"{job}-node-0", labels=labels)
        containers.write("j.yaml", flags.runtime(), shell(job, "rt", "echo new"))
        with containers.daemon():
            containers.until_phase(job, "Complete")

        with pytest.raises(docker.errors.NotFound):
            left.reload()
    assert containers.log(job, 0) == "new\n"


@pytest.mark.one_engine
def test_a_rerun_goes_beside_a_copy_on_the_network(containers: Workspace) -> None:
    job, copy = unique("rerun"), unique("beside")
    with _running(containers, job) as flags, _copy_on_network(containers, job, copy) as client:
        flags.raise_flag()
        containers.until_phase(job, "Complete")
        containers.write("j.yaml", flags.runtime(), annotated(shell(job, "rt", "echo again"), rerun="1"))
        eventually(lambda: "Recreated" in containers.said(job), "it starts afresh")
        containers.until_phase(job, "Complete")
        eventually(lambda: containers.log(job, 0) == "again\n", "it ran again")

        assert _state_of(client, copy) == "running"
