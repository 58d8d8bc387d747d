"""Which image a container gets, and its user where only the image says it, on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import docker.errors
import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique

NO_ROOT = {"users": {"root": False}}


class Images:
    """Builds images for a test: the usual one with another user."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.made: list[str] = []

    def running_as(self, user: str) -> str:
        repository, tag = "localhost/reconciler-test-user", unique("u")
        with self._workspace.api() as client:
            container = client.api.create_container(images.reference(), ["true"])
            try:
                client.api.commit(container["Id"], repository=repository, tag=tag, changes=[f"USER {user}"])
            finally:
                client.api.remove_container(container["Id"], force=True)
        self.made.append(f"{repository}:{tag}")
        return self.made[-1]

    def clean(self) -> None:
        for image in self.made:
            with self._workspace.api() as client:
                try:
                    client.api.remove_image(image, force=True)
                except docker.errors.NotFound:
                    continue


@pytest.fixture
def own_images(containers: Workspace) -> Iterator[Images]:
    made = Images(containers)
    yield made
    containers.clean()
    made.clean()


def test_short_name_or_id_does_not_select_an_unchecked_image(
    containers: Workspace, own_images: Images
) -> None:
    """A short name may be an id, and with Podman an image of ``localhost``: neither is Docker Hub's."""
    own = own_images.running_as("0")
    with containers.api() as client:
        identifier = client.api.inspect_image(own)["Id"].removeprefix("sha256:")
        named = unique("short")
        client.api.tag(own, f"localhost/{named}", "latest")
    own_images.made.append(f"localhost/{named}:latest")
    containers.configure(policy={"images": {"allow": ["docker.io/library/*"]}})
    jobs = {unique("id"): identifier[:12], unique("full"): f"sha256:{identifier}", unique("name"): named}
    for job, image in jobs.items():
        runs = runtime(f"rt-{job}", image, container={"imagePullPolicy": "Never"})
        containers.write(f"{job}.yaml", runs, shell(job, f"rt-{job}", "echo ran"))

    containers.cli("run", "--once")

    for job in jobs:
        assert containers.containers(job) == []
        assert containers.log(job, 0) == ""
        assert "docker.io/library/" in containers.said(job) or "PolicyViolation" in containers.said(job)


def refused(workspace: Workspace, job: str) -> bool:
    """Whether the policy failed the job, and nothing of it was created."""
    conditions = workspace.status(job)["conditions"]
    reasons = {c["reason"] for c in conditions if c["type"] == "Failed" and c["status"] == "True"}
    return reasons == {"PolicyViolation"} and workspace.containers(job) == []


@pytest.mark.one_engine
def test_image_user_is_checked_where_the_manifest_has_none(containers: Workspace, own_images: Images) -> None:
    containers.configure(policy=NO_ROOT)
    as_root, as_name, as_number = unique("root"), unique("name"), unique("number")
    containers.write(
        "j.yaml",
        runtime("root", images.reference()),
        runtime("name", own_images.running_as("daemon")),
        runtime("number", own_images.running_as("1234")),
        shell(as_root, "root", "id -u"),
        shell(as_name, "name", "id -u"),
        shell(as_number, "number", "id -u"),
    )

    done = containers.cli("run", "--wait")

    assert done.returncode == 1, done.stderr[-3000:]
    assert refused(containers, as_root), containers.said(as_root)
    assert refused(containers, as_name), containers.said(as_name)
    assert "policy.users.root" in containers.said(as_root)
    assert "'daemon', which may be root's name" in containers.said(as_name)
    assert (containers.phase(as_number), containers.log(as_number, 0)) == ("Complete", "1234\n")


@pytest.mark.one_engine
def test_run_as_non_root_is_enforced(containers: Workspace, own_images: Images) -> None:
    as_root, as_number = unique("root"), unique("number")
    strict = {"securityContext": {"runAsNonRoot": True}}
    containers.write(
        "j.yaml",
        runtime("root", images.reference(), pod=strict),
        runtime("number", own_images.running_as("1234"), pod=strict),
        shell(as_root, "root", "id -u"),
        shell(as_number, "number", "id -u"),
    )

    done = containers.cli("run", "--wait")

    assert done.returncode == 1, done.stderr[-3000:]
    assert refused(containers, as_root), containers.said(as_root)
    assert "(runAsNonRoot)" in containers.said(as_root)
    assert (containers.phase(as_number), containers.log(as_number, 0)) == ("Complete", "1234\n")


@pytest.mark.one_engine
def test_group_alone_keeps_the_user_of_the_image(containers: Workspace, own_images: Images) -> None:
    job = unique("group")
    containers.configure(policy=NO_ROOT)
    pod = {"securityContext": {"runAsGroup": 4321}}
    containers.write(
        "j.yaml", runtime("rt", own_images.running_as("1234"), pod=pod), shell(job, "rt", "id -u; id -g")
    )

    done = containers.cli("run", "--wait")

    assert done.returncode == 0, (containers.said(job), done.stderr[-3000:])
    assert containers.log(job, 0).split() == ["1234", "4321"]
