"""What the daemon does beside jobs: where one of its services cannot work, the others and the jobs go on."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.deploy.git_fixtures import Follow, follow, repository
from tests.support.manifests import runtime, shell
from tests.support.repositories import Repository
from tests.support.workspaces import PYTHON, Workspace, eventually, unique

__all__ = ["follow", "repository"]

pytestmark = pytest.mark.engine


def write_job(workspace: Workspace) -> str:
    job = unique("job")
    workspace.write("rt.yaml", runtime("rt", "ignored"))
    workspace.write(f"{job}.yaml", shell(job, "rt", "true"))
    return job


def test_a_webhook_whose_address_is_taken_is_opened_when_it_is_free(
    repository: Repository, follow: Follow
) -> None:
    job = unique("pulled")
    repository.put("specs/rt.yaml", runtime("rt", "ignored"))
    repository.put("specs/j.yaml", shell(job, "rt", "true"))
    repository.commit()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        workspace = follow(repository.url, GIT_WEBHOOK=f"127.0.0.1:{taken.getsockname()[1]}")
        with workspace.daemon() as daemon:
            workspace.until_phase(job, "Complete")
            eventually(lambda: "is taken by another program" in daemon.text(), "the log says why")
            taken.close()
            eventually(lambda: "webhook opened" in daemon.text(), "it is opened")


@pytest.mark.parametrize("refusing", ["a folder", "a link to itself"])
def test_a_configuration_that_cannot_be_read_again_leaves_the_old_one_in_force(
    processes: Workspace, refusing: str
) -> None:
    job = write_job(processes)
    path = processes.root / "reconciler.yaml"
    with processes.daemon("--config", str(path)) as daemon:
        processes.until_phase(job, "Complete")
        path.unlink()
        if refusing == "a folder":
            path.mkdir()
        else:
            path.symlink_to(path.name)
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration invalid" in daemon.text(), "the log says it")

        processes.until_phase(write_job(processes), "Complete")


def test_a_log_of_the_daemon_that_takes_nothing_more_stops_no_job(processes: Workspace) -> None:
    job = write_job(processes)
    with Path("/dev/full").open("wb") as full:
        daemon = subprocess.Popen(
            [PYTHON, "-m", "reconciler", "run"],
            env=processes.environment, cwd=processes.root, stdout=full, stderr=full,
        )  # fmt: skip
    try:
        processes.until_phase(job, "Complete")
        processes.until_phase(write_job(processes), "Complete")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_a_repository_that_cannot_be_kept_for_a_while_is_said_and_synced_later(
    repository: Repository, follow: Follow
) -> None:
    first, second = unique("first"), unique("second")
    repository.put("specs/rt.yaml", runtime("rt", "ignored"))
    repository.put(f"specs/{first}.yaml", shell(first, "rt", "true"))
    repository.commit()
    workspace = follow(repository.url)
    with workspace.daemon() as daemon:
        workspace.until_phase(first, "Complete")
        worktrees = workspace.place / "worktrees"
        aside = worktrees.rename(worktrees.with_name("aside"))
        worktrees.touch()  # a file in the place of the folder
        repository.put(f"specs/{second}.yaml", shell(second, "rt", "true"))
        repository.commit()
        eventually(lambda: "git sync failed" in daemon.text(), "the log says it")
        assert workspace.source()["conditions"][0]["status"] == "False"

        worktrees.unlink()
        aside.rename(worktrees)

        workspace.until_phase(second, "Complete")
        assert "internal error" not in daemon.text()
