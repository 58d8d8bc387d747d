"""A file system that never answers holds up nothing but what is on it, and a start says which it is."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.dead_file_systems import dead_file_system
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

IMAGE = "localhost/reconciler-test:base"
UNANSWERED = "does not answer"


def _mount_point(workspace: Workspace) -> Path:
    folder = workspace.root / "dead"
    folder.mkdir()
    return folder


def test_link_to_a_dead_file_system_among_the_manifests_holds_no_job_up(processes: Workspace) -> None:
    job = unique("beside")
    processes.write("runtime.yaml", runtime("plain", IMAGE))
    processes.write("job.yaml", shell(job, "plain", "echo fine"))
    folder = _mount_point(processes)
    with dead_file_system(folder):
        link = processes.specs / "link"
        link.symlink_to(folder)
        with processes.daemon():
            # The folder is not walked here: what does so asks the link.
            eventually(lambda: "fine" in processes.log(job, 0), "the job has run", seconds=120)
        link.unlink()


@pytest.mark.parametrize(
    "option", ["--specs", "--status-dir", "--log-dir", "--state-dir", "--config", "--env-file"]
)
def test_start_names_the_setting_whose_file_system_is_dead(processes: Workspace, option: str) -> None:
    folder = _mount_point(processes)
    with dead_file_system(folder):
        done = processes.cli("run", option, str(folder / "below"))

    assert done.returncode == 2
    assert UNANSWERED in done.stderr
    assert str(folder) in done.stderr


def test_reload_from_a_dead_file_system_holds_no_job_up(processes: Workspace) -> None:
    job, folder = unique("reload"), _mount_point(processes)
    processes.write("runtime.yaml", runtime("plain", IMAGE))
    variables = folder / "variables"
    variables.write_text("")
    with processes.daemon("--env-file", str(variables)) as daemon:
        eventually(lambda: "engine connected" in daemon.text(), "it is up", seconds=120)
        with dead_file_system(folder):
            daemon.process.send_signal(signal.SIGHUP)
            eventually(lambda: UNANSWERED in daemon.text(), "the reload says so", seconds=120)
            processes.write("job.yaml", shell(job, "plain", "echo fine"))
            processes.until_phase(job, "Complete", seconds=120)
