"""Symbolic links and path names planted where this project writes: nothing is written through them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.controller.enforcement.host_paths import inspect_path
from reconciler.controller.enforcement.path_pinning import create_path, open_pinned
from reconciler.controller.nodeservices.logs.log_files import LogFile
from reconciler.errors import PlanError, PolicyDenied, StateError
from reconciler.plan.pod.volume_paths import validate_key, validate_path
from reconciler.state.kept_logs.log_paths import LogLocation
from reconciler.state.locks import lock_file
from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique


def test_link_in_place_of_a_sidecar_is_replaced(processes: Workspace) -> None:
    job = unique("planted")
    victim = processes.root / "passwd"
    victim.write_text("root:x:0:0\n")
    (processes.specs / "j.status.yaml").symlink_to(victim)
    processes.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", "true"))

    done = processes.cli("run", "--wait", timeout=60)

    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "root:x:0:0\n"
    assert not (processes.specs / "j.status.yaml").is_symlink()
    assert processes.phase(job) == "Complete"


def test_link_in_place_of_the_log_folder_is_not_followed(processes: Workspace) -> None:
    job = unique("logged")
    victim = processes.root / "victim"
    victim.mkdir()
    logs = processes.root / "state" / "reconciler" / "logs" / "default"
    logs.mkdir(parents=True)
    (logs / job).symlink_to(victim)
    processes.write("j.yaml", runtime("rt", images.reference()), shell(job, "rt", "echo out"))

    with processes.daemon() as daemon:
        processes.until_phase(job, "Complete", "Failed", "Running")
        processes.write("other.yaml", shell(other := unique("other"), "rt", "true"))
        processes.until_phase(other, "Complete")
        said = daemon.text()
        assert list(victim.iterdir()) == []
        (logs / job).unlink()
        processes.until_phase(job, "Complete")

    assert "link" in said
    assert processes.log(job, 0) == "out\n"


def test_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("before")
    location = LogLocation(namespace="default", job="job", attempt=0, container="c", uid="u", current=True)
    place = location.path(tmp_path / "logs")
    place.parent.mkdir(parents=True)
    place.symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links"):
        LogFile(location, tmp_path / "logs", "id").writer()

    assert victim.read_text() == "before"


def test_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("before")
    lock = tmp_path / "x.lock"
    lock.symlink_to(victim)

    with pytest.raises(StateError, match="Cannot open the lock"), lock_file(lock, command="test"):
        pass

    assert victim.read_text() == "before"


@pytest.mark.parametrize("key", ["../../etc/cron.d/x", "..", "a/b", "", "a\0b", "a\nb", "/etc/passwd"])
def test_secret_key_cannot_name_another_file(key: str) -> None:
    with pytest.raises(PlanError):
        validate_key(key, what="the Secret 's'")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", ".."])
def test_path_in_a_volume_cannot_leave_it(path: str) -> None:
    with pytest.raises(PlanError):
        validate_path(path, what="the mount")


def test_folder_is_not_created_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    ground = Path(os.path.realpath(tmp_path)) / "ground"
    ground.mkdir()
    checked = inspect_path(str(ground / "a" / "b"))
    # Swapped in after the check.
    (ground / "a").symlink_to(outside)

    with pytest.raises(PolicyDenied):
        create_path(checked.real, folder=True)

    assert list(outside.iterdir()) == []


def test_replaced_folder_is_not_pinned(tmp_path: Path) -> None:
    place = Path(os.path.realpath(tmp_path)) / "in"
    place.mkdir()
    checked = inspect_path(str(place))
    assert checked.identity is not None
    place.rename(place.with_name("aside"))
    place.mkdir()

    with pytest.raises(PolicyDenied, match="has changed"):
        open_pinned(checked.real, checked.identity)
