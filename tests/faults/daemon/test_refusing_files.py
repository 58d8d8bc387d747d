"""Files and folders that refuse what the daemon wants of them: the job's fault that they belong to, nobody else's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flags import Flags
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes from root the right to all"),
]


@pytest.fixture
def ordinary(processes: Workspace) -> Iterator[Workspace]:
    """A workspace whose daemon permissions apply to, also where root runs this."""
    processes.prefix = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    processes.write("rt.yaml", runtime("rt", "ignored"))
    yield processes
    processes.prefix = ()


def run_another(workspace: Workspace) -> None:
    """Everything else goes on: a job that comes now runs to its end."""
    job = unique("another")
    workspace.write(f"{job}.yaml", shell(job, "rt", "true"))
    workspace.until_phase(job, "Complete")


def test_a_folder_that_is_closed_while_its_job_ends_shows_the_end_when_it_is_open_again(
    ordinary: Workspace,
) -> None:
    job = unique("closed")
    flags = Flags(ordinary)
    ordinary.write("rt2.yaml", flags.runtime("rt2"))
    ordinary.write("sub/j.yaml", shell(job, "rt2", flags.wait()))
    folder = ordinary.specs / "sub"
    with ordinary.daemon() as daemon:
        ordinary.until_phase(job, "Running")
        folder.chmod(0)
        try:
            flags.raise_flag()
            eventually(lambda: "Permission denied" in daemon.text(), "the log says it")
            # Another round over everything finds the folder closed.
            run_another(ordinary)
        finally:
            folder.chmod(0o755)
        ordinary.until_phase(job, "Complete")
        assert "internal error" not in daemon.text()


def test_a_daemon_starts_beside_a_folder_that_is_closed(ordinary: Workspace) -> None:
    job = unique("shut")
    ordinary.write("sub/j.yaml", shell(job, "rt", "exec sleep 600"))
    with ordinary.daemon():
        before = ordinary.until_phase(job, "Running")["nodes"][0]["containerID"]
    folder = ordinary.specs / "sub"
    folder.chmod(0)
    try:
        with ordinary.daemon() as daemon:
            run_another(ordinary)
            eventually(lambda: "Permission denied" in daemon.text(), "the log says it")
    finally:
        folder.chmod(0o755)
    with ordinary.daemon():
        status = ordinary.until_phase(job, "Running")
        assert status["nodes"][0]["containerID"] == before


def test_a_record_that_cannot_be_read_holds_up_its_own_job_alone(ordinary: Workspace) -> None:
    job = unique("unread")
    ordinary.write("j.yaml", shell(job, "rt", "exec sleep 600"))
    with ordinary.daemon():
        before = ordinary.until_phase(job, "Running")["nodes"][0]["containerID"]
    record = next((ordinary.root / "state").rglob(f"{job}.json"))
    record.chmod(0)
    with ordinary.daemon():
        run_another(ordinary)
        eventually(lambda: "Permission denied" in str(ordinary.status(job)["message"]), "its status says why")
        record.chmod(0o600)
        status = eventually(lambda: without_message(ordinary, job), "it goes on")
        assert status["nodes"][0]["containerID"] == before


def without_message(workspace: Workspace, job: str) -> dict[str, object] | None:
    status = workspace.status(job)
    return None if "Permission denied" in str(status.get("message")) else status


def test_records_that_cannot_be_listed_for_a_while_are_said_and_nothing_is_lost(ordinary: Workspace) -> None:
    job = unique("listed")
    ordinary.write("j.yaml", shell(job, "rt", "exec sleep 600"))
    with ordinary.daemon():
        before = ordinary.until_phase(job, "Running")["nodes"][0]["containerID"]
    folder = next((ordinary.root / "state").rglob(f"{job}.json")).parent
    folder.chmod(0)
    with ordinary.daemon() as daemon:
        eventually(lambda: "daemon part failed" in daemon.text(), "the log says it")
        folder.chmod(0o700)
        run_another(ordinary)
        assert ordinary.until_phase(job, "Running")["nodes"][0]["containerID"] == before
        eventually(lambda: "daemon part recovered" in daemon.text(), "the log says that it is over")


@pytest.mark.parametrize("place", ["folder", "link to itself", "link to nowhere far"])
def test_something_else_in_the_place_of_a_status_file_hinders_no_other(
    ordinary: Workspace, place: str
) -> None:
    job = unique("placed")
    ordinary.write("j.yaml", shell(job, "rt", "true"))
    sidecar = ordinary.specs / "j.status.yaml"
    if place == "folder":
        (sidecar / "inside").mkdir(parents=True)
    else:
        sidecar.symlink_to(sidecar.name if place == "link to itself" else "/" + "n" * 300)
    with ordinary.daemon() as daemon:
        run_another(ordinary)
        if place == "folder":
            eventually(lambda: str(sidecar) in daemon.text(), "the log names it")
            shutil.rmtree(sidecar)
        ordinary.until_phase(job, "Complete")


def test_a_chain_of_links_longer_than_python_can_follow_hinders_no_other(ordinary: Workspace) -> None:
    folder = ordinary.specs / "chain"
    folder.mkdir()
    for number in range(1500):
        (folder / f"l{number}.yaml").symlink_to(f"l{number + 1}.yaml")
    (folder / "l1500.yaml").symlink_to("../rt.yaml")

    validated = ordinary.cli("validate", str(ordinary.specs))

    assert validated.returncode == 1
    with ordinary.daemon():
        run_another(ordinary)


def test_a_source_of_runtimes_that_may_not_be_entered_takes_nothing_away(ordinary: Workspace) -> None:
    closed, job = ordinary.root / "closed", unique("other")
    (closed / "runtimes").mkdir(parents=True)
    open_one = ordinary.root / "open.yaml"
    open_one.write_text(json.dumps(runtime("remote", "ignored")))
    ordinary.settings["RUNTIME_SOURCE"] = f"{closed}/runtimes,{open_one}"
    ordinary.write("j.yaml", shell(job, "remote", "true"))
    closed.chmod(0)
    try:
        with ordinary.daemon() as daemon:
            ordinary.until_phase(job, "Complete")
            eventually(lambda: "runtime source failed" in daemon.text(), "the log names the source")
    finally:
        closed.chmod(0o755)


def test_a_specs_folder_that_may_not_be_reached_is_waited_for(ordinary: Workspace, tmp_path: Path) -> None:
    above, job = tmp_path / "above", unique("reached")
    (above / "specs").mkdir(parents=True)
    (above / "specs" / "j.yaml").write_text(json.dumps(shell(job, "rt", "true")))
    shutil.copy(ordinary.specs / "rt.yaml", above / "specs")
    ordinary.settings |= {"SPECS": str(above / "specs"), "STATUS_DIR": str(ordinary.specs), "RESYNC": "1s"}
    above.chmod(0)
    try:
        with ordinary.daemon() as daemon:
            eventually(lambda: "specs folder missing" in daemon.text(), "the log says it")
            above.chmod(0o755)
            ordinary.until_phase(job, "Complete")
    finally:
        above.chmod(0o755)
        for file in (above / "specs").iterdir():
            file.unlink()
