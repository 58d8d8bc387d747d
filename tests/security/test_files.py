"""Links planted where this project writes: nothing is written through them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.controller.enforcement.host_paths import look
from reconciler.controller.enforcement.path_pinning import make_inside, open_held
from reconciler.controller.nodeservices.log_files import LogFile
from reconciler.errors import PlanError, PolicyRefused, StateError
from reconciler.plan.pod.volume_paths import file_name, inside
from reconciler.state.atomic_files import FileLock
from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique


def test_a_planted_sidecar_link_is_replaced_not_followed(processes: Workspace) -> None:
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


def test_a_link_in_place_of_the_folder_of_logs_is_not_followed(processes: Workspace) -> None:
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
    assert "link" in said


def test_a_link_in_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("before")
    place = tmp_path / "logs" / "default" / "job" / "0" / "c.log"
    place.parent.mkdir(parents=True)
    place.symlink_to(victim)

    with pytest.raises(OSError, match="symbolic links"):
        LogFile(place, tmp_path / "logs", "id").writer(trusted=False)

    assert victim.read_text() == "before"


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("before")
    lock = tmp_path / "x.lock"
    lock.symlink_to(victim)

    with pytest.raises(StateError, match="Cannot open the lock"):
        FileLock(lock).acquire(command="test", since="now")

    assert victim.read_text() == "before"


@pytest.mark.parametrize("key", ["../../etc/cron.d/x", "..", "a/b", "", "a\0b", "a\nb", "/etc/passwd"])
def test_a_key_of_a_secret_names_no_file_elsewhere(key: str) -> None:
    with pytest.raises(PlanError):
        file_name(key, what="the Secret 's'")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", ".."])
def test_a_path_in_a_volume_stays_there(path: str) -> None:
    with pytest.raises(PlanError):
        inside(path, what="the mount")


def test_a_folder_is_not_made_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    ground = Path(os.path.realpath(tmp_path)) / "ground"
    ground.mkdir()
    judged = look(str(ground / "a" / "b"))
    # Swapped in after the look.
    (ground / "a").symlink_to(outside)

    with pytest.raises(PolicyRefused):
        make_inside(judged.real, folder=True)

    assert list(outside.iterdir()) == []


def test_what_is_held_is_what_was_looked_at(tmp_path: Path) -> None:
    place = Path(os.path.realpath(tmp_path)) / "in"
    place.mkdir()
    judged = look(str(place))
    assert judged.identity is not None
    place.rename(place.with_name("aside"))
    place.mkdir()

    with pytest.raises(PolicyRefused, match="has changed"):
        open_held(judged.real, judged.identity)
