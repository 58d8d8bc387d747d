"""Names of files and objects that no status file or record can have: one manifest's fault, never the daemon's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.git_fixtures import Follow, follow, repository
from tests.support.manifests import runtime, shell, trainjob
from tests.support.repositories import Repository
from tests.support.workspaces import Workspace, eventually, unique

__all__ = ["follow", "repository"]

pytestmark = pytest.mark.engine

#: Bytes of a file's name and of a path (with its closing zero) on Linux.
NAME_MAX, PATH_MAX = 255, 4096
TOO_LONG = {"letters": "a" * 245 + ".yaml", "umlauts": "ü" * 122 + ".yml"}


@pytest.fixture
def deep(processes: Workspace) -> Iterator[Path]:
    """A folder so deep that a manifest in it has a path that is possible, and its status file has none."""
    top = processes.specs / "deep"
    top.mkdir()
    left = PATH_MAX - 1 - len(os.fsencode(str(top))) - len("/j.yaml")
    folder = top
    while left > 0:
        part = "d" * (left - 1 if left <= NAME_MAX + 1 else min(NAME_MAX, left - 1 - 2))
        folder /= part
        left -= len(part) + 1
    folder.mkdir(parents=True)
    yield folder
    subprocess.run(["rm", "-rf", str(top)], check=True)


def write_good(workspace: Workspace) -> str:
    """A job that nothing is wrong with."""
    job = unique("good")
    workspace.write("rt.yaml", runtime("rt", "ignored"))
    workspace.write(f"{job}.yaml", shell(job, "rt", "true"))
    return job


def phase_by_get(workspace: Workspace, job: str) -> str:
    done = workspace.cli("get", "jobs", "-o", "json")
    items = json.loads(done.stdout)
    items = items["items"] if isinstance(items, dict) else items
    return next(str(j["status"]["phase"]) for j in items if j["metadata"]["name"] == job)


@pytest.mark.parametrize("name", TOO_LONG.values(), ids=TOO_LONG)
def test_a_manifest_whose_status_file_cannot_exist_is_at_fault_and_the_others_run(
    processes: Workspace, name: str
) -> None:
    good, bad = write_good(processes), unique("bad")
    (processes.specs / name).write_text(json.dumps(shell(bad, "rt", "true")))

    validated, planned = processes.cli("validate", "specs"), processes.cli("plan", "specs", "-o", "json")

    assert (validated.returncode, planned.returncode) == (1, 1)
    assert f"{NAME_MAX} are possible" in validated.stdout
    assert {job["name"] for job in json.loads(planned.stdout)["jobs"]} == {good}
    with processes.daemon() as daemon:
        processes.until_phase(good, "Complete")
        eventually(lambda: f"{NAME_MAX} are possible" in daemon.text(), "the log names the file")
        assert phase_by_get(processes, bad) == "Invalid"
        (processes.specs / name).rename(processes.specs / "short.yaml")
        processes.until_phase(bad, "Complete")


def test_the_longest_name_that_has_a_status_file_works(processes: Workspace) -> None:
    job = unique("longest")
    stem = "\N{GRINNING FACE}" * 60 + "aaa"  # 243 bytes, and 12 more are the status file's
    processes.write("rt.yaml", runtime("rt", "ignored"))
    (processes.specs / f"{stem}.yaml").write_text(json.dumps(shell(job, "rt", "true")))

    done = processes.cli("run", "--wait")

    assert done.returncode == 0, done.stderr[-3000:]
    assert (processes.specs / f"{stem}.status.yaml").exists()
    assert processes.phase(job) == "Complete"


def test_a_running_job_whose_manifest_gets_such_a_name_goes_on(processes: Workspace) -> None:
    job = unique("renamed")
    processes.write("rt.yaml", runtime("rt", "ignored"))
    file = processes.write("j.yaml", shell(job, "rt", "exec sleep 600"))
    with processes.daemon() as daemon:
        before = processes.until_phase(job, "Running")["nodes"][0]["containerID"]

        longer = file.rename(file.with_name(TOO_LONG["letters"]))
        eventually(lambda: f"{NAME_MAX} are possible" in daemon.text(), "the log names the file")
        longer.rename(file)
        # Whatever came of it is over when an edit that touches no container has been seen.
        processes.write("j.yaml", {**shell(job, "rt", "exec sleep 600")}, shell(f"{job}-2", "rt", "true"))
        processes.until_phase(f"{job}-2", "Complete")

        status = processes.until_phase(job, "Running")
        assert status["nodes"][0]["containerID"] == before


def test_a_path_that_leaves_no_room_for_the_status_file_is_at_fault(processes: Workspace, deep: Path) -> None:
    good, bad = write_good(processes), unique("deep")
    (deep / "j.yaml").write_text(json.dumps(shell(bad, "rt", "true")))

    validated = processes.cli("validate", str(processes.specs))

    assert validated.returncode == 1
    assert f"{PATH_MAX - 1} are possible" in validated.stdout
    with processes.daemon() as daemon:
        processes.until_phase(good, "Complete")
        eventually(lambda: f"{PATH_MAX - 1} are possible" in daemon.text(), "the log names the file")
        assert phase_by_get(processes, bad) == "Invalid"


def test_folders_below_any_path_that_can_be_opened_are_said_and_the_others_run(
    processes: Workspace, deep: Path
) -> None:
    good = write_good(processes)
    parent = os.open(deep, os.O_DIRECTORY)
    try:
        for _ in range(3):
            os.mkdir("e" * 200, dir_fd=parent)
            below = os.open("e" * 200, os.O_DIRECTORY, dir_fd=parent)
            os.close(parent)
            parent = below
        with os.fdopen(os.open("j.yaml", os.O_CREAT | os.O_WRONLY, dir_fd=parent), "w") as file:
            file.write(json.dumps(shell("nobody", "rt", "true")))
    finally:
        os.close(parent)

    validated = processes.cli("validate", str(processes.specs))

    assert validated.returncode == 1
    assert "File name too long" in validated.stdout
    with processes.daemon():
        processes.until_phase(good, "Complete")
        assert "nobody" not in processes.cli("get", "jobs").stdout


def test_a_status_folder_that_leaves_no_room_is_a_fault_of_each_manifest(processes: Workspace) -> None:
    write_good(processes)
    root = processes.root / "status"
    fill = PATH_MAX - 30 - len(str(root))
    parts = ["s" * 200] * (fill // 201)
    folder = root.joinpath(*parts)

    with_room = processes.cli("validate", "--status-dir", str(processes.root / "status"), "specs")
    without = processes.cli("validate", "--status-dir", str(folder / ("s" * (fill % 201 + 20))), "specs")

    assert with_room.returncode == 0, with_room.stdout
    assert without.returncode == 1
    assert f"{PATH_MAX - 1} are possible" in without.stdout


def test_a_commit_with_such_a_name_is_refused_and_the_one_before_stays(
    repository: Repository, follow: Follow
) -> None:
    first = unique("first")
    repository.put("specs/rt.yaml", runtime("rt", "ignored"))
    repository.put(f"specs/{first}.yaml", shell(first, "rt", "true"))
    commit = repository.commit()
    workspace = follow(repository.url)
    with workspace.daemon():
        workspace.until_phase(first, "Complete")
        repository.put(f"specs/{TOO_LONG['letters']}", shell(unique("bad"), "rt", "true"))
        repository.commit()

        eventually(lambda: f"{NAME_MAX} are possible" in str(workspace.source()), "the source says why")

        assert workspace.source()["revision"] == commit
    assert workspace.cli("validate", "--git", repository.url, "--path", "specs").returncode == 1
    repository.remove(f"specs/{TOO_LONG['letters']}")
    second = unique("second")
    repository.put(f"specs/{second}.yaml", shell(second, "rt", "true"))
    repository.commit()
    with workspace.daemon():
        workspace.until_phase(second, "Complete")


@pytest.mark.parametrize("name", ["x" * 300, "../../../escaped", "a/b", ".", "zero\0byte"], ids=ascii)
def test_an_object_with_a_name_that_is_none_is_invalid_and_the_others_run(
    processes: Workspace, name: str
) -> None:
    good = write_good(processes)
    bad = trainjob("replaced", "rt", "true")
    bad["metadata"]["name"] = name
    processes.write("bad.yaml", json.dumps(bad))
    with processes.daemon() as daemon:
        processes.until_phase(good, "Complete")

        def invalid() -> bool:
            return any(d["status"]["phase"] == "Invalid" for d in processes.documents())

        eventually(invalid, "the manifest's status says what is wrong")
        assert "reconcile failed" not in daemon.text()
