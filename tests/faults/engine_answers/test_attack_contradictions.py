"""An engine that contradicts itself: what it says of an id, a folder, a listing or a log is not so.

Nothing is removed, started or counted as gone on such a word, and nobody's things are touched.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.proxies import FaultyEngine, alter, break_body, lose, replace
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [pytest.mark.engine, pytest.mark.one_engine]

LIST = r"/containers/json"
INSPECT = r"/containers/[^/]+/json"
CREATE = r"/containers/create"
LOGS = r"/logs\?"
ERROR = b"Error grabbing logs: unexpected EOF\n"


def _write(workspace: Workspace, script: str, *, nodes: int = 1, **parts: Any) -> str:
    job = unique("word")
    rt = runtime("rt", images.reference(), nodes=nodes, **parts)
    workspace.write("j.yaml", rt, shell(job, "rt", script))
    return job


def _complete_at_once(workspace: Workspace, job: str) -> None:
    status = workspace.until_phase(job, "Complete", "Failed", seconds=120)
    assert status["phase"] == "Complete", workspace.said(job)
    assert not status.get("restarts")
    assert not status.get("attempt")


def _privileged(found: dict[str, Any]) -> dict[str, Any]:
    """The inspect of a container that has more rights; what is no inspect is left as it is."""
    return (
        found | {"HostConfig": found["HostConfig"] | {"Privileged": True}} if "HostConfig" in found else found
    )


@contextlib.contextmanager
def _anothers_container(workspace: Workspace) -> Iterator[docker.models.containers.Container]:
    with workspace.api() as client:
        container = client.containers.create(images.reference(), ["sleep", "600"], name=unique("another"))
        try:
            yield container
        finally:
            container.remove(force=True)


def test_a_create_that_names_anothers_container_does_it_no_harm(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    with _anothers_container(containers) as another:
        between.on("POST", CREATE, alter(lambda answer: answer | {"Id": another.id}), times=1)
        job = _write(containers, "echo hello")

        with containers.daemon("--resync", "2"):
            _complete_at_once(containers, job)

        another.reload()
        assert another.status == "created"


def test_the_folder_of_anothers_volume_keeps_its_mode(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    claims = [
        {
            "templates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
            "retentionPolicy": {"whenDeleted": "Delete"},
        }
    ]
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    with containers.api() as client:
        another = client.volumes.create(unique("another"))
        folder = Path(another.attrs["Mountpoint"])
        folder.chmod(0o700)
        try:
            wrong = {"Mountpoint": str(folder)}
            between.on("POST", "/volumes/create", alter(lambda answer: answer | wrong), times=1)
            between.on(
                "POST",
                "/volumes/create",
                alter(lambda answer: answer | wrong | {"Name": another.name}),
                nth=1,
                times=1,
            )
            job = _write(
                containers, "touch /data/x", container=mounts, jobset={"volumeClaimPolicies": claims}
            )

            with containers.daemon("--resync", "2"):
                _complete_at_once(containers, job)

            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        finally:
            another.remove(force=True)


def test_what_an_unanswered_create_has_left_is_looked_at_before_it_starts(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    """Docs, security: a container that has more rights than requested is removed."""
    between = faulty_engine(containers)
    between.on("POST", CREATE, lose(), times=1)
    between.on("GET", INSPECT, alter(_privileged))
    job = _write(containers, "echo hello")

    with containers.daemon("--resync", "2"):
        containers.until_phase(job, "Failed", "Complete")

    assert "privileged: asked for false, got true" in containers.said(job)
    assert not between.asked("POST", "/start")


def test_a_start_refused_for_the_moment_after_an_unanswered_create_is_no_failure(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    between.on("POST", CREATE, lose(), times=2)
    busy = {"message": "Address already in use", "cause": "Address already in use", "response": 500}
    between.on("POST", "/start", replace(busy, status=500, done=False), times=2)
    job = _write(containers, "echo hello", nodes=2)

    with containers.daemon("--resync", "2"):
        _complete_at_once(containers, job)


def test_a_rank_that_a_listing_lacks_goes_on(containers: Workspace, faulty_engine: FaultyEngine) -> None:
    between = faulty_engine(containers)
    go = containers.root / "go"
    go.mkdir()
    mounts = {"volumeMounts": [{"name": "w", "mountPath": "/w"}]}
    pod = {"volumes": [{"name": "w", "hostPath": {"path": str(go)}}]}
    script = "echo hello; while [ ! -e /w/go ]; do sleep 0.1; done"
    job = _write(containers, script, nodes=2, container=mounts, pod=pod)

    with containers.daemon("--resync", "1"):
        containers.until_phase(job, "Running")
        eventually(
            lambda: len([n for n in containers.status(job)["nodes"] if n["state"] == "running"]) == 2, "2"
        )
        for lack in (lambda _: [], lambda items: [i for i in items if "node-1" not in str(i["Names"])]):
            between.on("GET", LIST, alter(lack))
            eventually(lambda: "does not list" in containers.said(job), "the job is told")
            between.clear()
            eventually(lambda: "does not list" not in str(containers.status(job)["conditions"]), "it is over")
        (go / "go").touch()
        _complete_at_once(containers, job)

    assert [containers.log(job, rank).split() for rank in (0, 1)] == [["hello"], ["hello"]]


@pytest.mark.parametrize(
    "answer",
    [
        b"\1\0\0\0\xff\xff\xff\xffgarbage",
        b"\1\0\0\0\0\0\0\x302026-12-01T11:00:00.000000000Z half",
        b"\x03\0\0\0" + len(ERROR).to_bytes(4, "big") + ERROR,
        b"no frames at all, but a sentence",
    ],
    ids=["a size that is none", "half a piece", "the engine's own error", "no frames"],
)
def test_a_log_is_whole_only_where_the_engine_has_given_whole_output(
    docker: Workspace, faulty_engine: FaultyEngine, answer: bytes
) -> None:
    between = faulty_engine(docker)
    between.on("GET", LOGS, replace(answer), times=3)
    between.on("GET", LOGS, break_body(30), times=1)
    job = _write(docker, "echo one; sleep 1; echo two")

    with docker.daemon("--resync", "2"):
        _complete_at_once(docker, job)

    assert docker.log(job, 0).split() == ["one", "two"]
