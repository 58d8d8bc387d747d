"""What is deleted by name is removed, also where that empties the folder; what vanishes by itself is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import MakeWorkspace
from tests.faults.newcomer_cli.jobs import marked, names, processes, until_gone, until_runs
from tests.support.manifests import runtime
from tests.support.workspaces import Workspace, eventually

pytestmark = pytest.mark.engine


@pytest.fixture
def place(make_workspace: MakeWorkspace) -> Workspace:
    """A workspace of processes."""
    return make_workspace("process")


def start(place: Workspace, count: int = 2) -> list[str]:
    jobs = names(count)
    for name in jobs:
        place.write(f"{name}.yaml", runtime(f"rt-{name}", "none"), _of(name))
    return jobs


def _of(name: str) -> dict:
    document = marked(name)
    document["spec"]["runtimeRef"]["name"] = f"rt-{name}"
    return document


def only_jobs(place: Workspace, count: int = 2, file: str = "") -> list[str]:
    """Jobs with a built-in runtime, so that nothing is left in the folder without them."""
    jobs = names(count)
    documents = [marked(name) for name in jobs]
    for document in documents:
        document["spec"]["runtimeRef"]["name"] = "plain"
        document["spec"]["trainer"]["image"] = "none"
    if file:
        place.write(file, *documents)
    else:
        for name, document in zip(jobs, documents, strict=True):
            place.write(f"{name}.yaml", document)
    return jobs


def test_all_jobs_deleted_by_name_are_removed(place: Workspace) -> None:
    jobs = only_jobs(place)
    with place.daemon():
        until_runs(place, *jobs)

        done = place.cli("delete", *jobs)

        assert done.returncode == 0, done.stderr
        until_gone(place, *jobs)


def test_all_jobs_deleted_one_after_another_are_removed(place: Workspace) -> None:
    jobs = only_jobs(place, 3)
    with place.daemon():
        until_runs(place, *jobs)

        for name in jobs:
            assert place.cli("delete", name).returncode == 0

        until_gone(place, *jobs)


def test_jobs_deleted_while_no_daemon_runs_are_removed_by_the_next(place: Workspace) -> None:
    jobs = only_jobs(place)
    with place.daemon() as daemon:
        until_runs(place, *jobs)
        daemon.kill()

    assert place.cli("delete", *jobs).returncode == 0

    with place.daemon():
        until_gone(place, *jobs)


def test_jobs_of_one_file_deleted_while_statuses_are_elsewhere(place: Workspace) -> None:
    place.settings["STATUS_DIR"] = str(place.root / "statuses")
    jobs = only_jobs(place, file="all.yaml")
    with place.daemon() as daemon:
        for name in jobs:
            eventually(lambda name=name: processes(name), f"processes of {name}")
        daemon.kill()

    assert place.cli("delete", *jobs).returncode == 0

    with place.daemon():
        for name in jobs:
            eventually(lambda name=name: not processes(name), f"processes of {name} gone")


def test_a_folder_that_empties_by_itself_keeps_its_jobs_and_says_why(place: Workspace) -> None:
    jobs = only_jobs(place)
    with place.daemon("--resync", "1"):
        until_runs(place, *jobs)
        for name in jobs:
            (place.specs / f"{name}.yaml").unlink()

        eventually(lambda: "ManifestMissing" in str(place.status(jobs[0])), "the status says it")
        table = place.cli("get", "jobs").stdout
        page = place.cli("describe", jobs[0]).stdout
        diff = place.cli("diff")

        for text in (table, page, diff.stdout):
            assert "All manifests are gone from" in text
            assert f"reconciler delete {jobs[0]}" in text
        assert diff.returncode == 1
        assert all(processes(name) for name in jobs)


def test_what_the_guard_kept_is_removed_when_it_is_deleted_by_name(place: Workspace) -> None:
    jobs = only_jobs(place)
    with place.daemon():
        until_runs(place, *jobs)
        for name in jobs:
            (place.specs / f"{name}.yaml").unlink()
        eventually(lambda: "ManifestMissing" in str(place.status(jobs[1])), "the status says it")

        assert place.cli("delete", jobs[0]).returncode == 0
        until_gone(place, jobs[0])

        assert processes(jobs[1]), "nobody asked for this one"
        assert place.cli("delete", jobs[1]).returncode == 0
        until_gone(place, jobs[1])


def test_one_deleted_by_name_goes_and_the_accident_of_the_others_is_guarded(place: Workspace) -> None:
    jobs = only_jobs(place, 3)
    with place.daemon() as daemon:
        until_runs(place, *jobs)
        daemon.kill()
    assert place.cli("delete", jobs[0]).returncode == 0
    for name in jobs[1:]:
        (place.specs / f"{name}.yaml").unlink()

    with place.daemon():
        until_gone(place, jobs[0])
        eventually(lambda: "ManifestMissing" in str(place.status(jobs[1])), "the status says it")
        assert place.cli("delete", jobs[1]).returncode == 0
        until_gone(place, jobs[1])

    # A last one alone is no accident; the last of several that were guarded is still one.
    with place.daemon("--resync", "1") as daemon:
        eventually(lambda: "manifests missing" in daemon.text(), "the folder is looked at")
        eventually(lambda: "ManifestMissing" in str(place.status(jobs[2])), "the status says it")
        assert processes(jobs[2])
        assert place.cli("delete", jobs[2]).returncode == 0
        until_gone(place, jobs[2])


def test_manifests_that_come_back_void_the_request(place: Workspace) -> None:
    jobs = only_jobs(place)
    aside = place.root / "aside"
    shutil.copytree(place.specs, aside)
    with place.daemon() as daemon:
        until_runs(place, *jobs)
        daemon.kill()
    assert place.cli("delete", *jobs).returncode == 0
    for file in aside.iterdir():
        shutil.copy(file, place.specs)

    with place.daemon():
        place.until_phase(jobs[0], "Running")
        assert all(processes(name) for name in jobs)


def test_a_new_object_of_the_name_is_no_older_than_its_request(place: Workspace) -> None:
    """The request is used up with the object that was meant."""
    jobs = only_jobs(place)
    manifests = {name: (place.specs / f"{name}.yaml").read_bytes() for name in jobs}
    with place.daemon():
        until_runs(place, *jobs)
        assert place.cli("delete", *jobs).returncode == 0
        until_gone(place, *jobs)
        for name, text in manifests.items():
            place.write(f"{name}.yaml", text)
        until_runs(place, *jobs)

        for name in jobs:
            (place.specs / f"{name}.yaml").unlink()

        eventually(lambda: "ManifestMissing" in str(place.status(jobs[0])), "the guard holds")
        assert all(processes(name) for name in jobs)


def test_delete_that_cannot_edit_leaves_no_request(place: Workspace) -> None:
    jobs = only_jobs(place)
    with place.daemon():
        until_runs(place, *jobs)
        path = place.specs / f"{jobs[0]}.yaml"
        good = path.read_text()
        path.write_text(good + "\n---\n: : {\n")

        done = place.cli("delete", jobs[0])

        assert done.returncode == 1
        assert "cannot be" in done.stderr
        assert not _requests(place)


def _requests(place: Workspace) -> list[Path]:
    return list((place.root / "state" / "reconciler" / "removals").rglob("*.json"))


def test_the_client_deletes_the_last_jobs(place: Workspace) -> None:
    jobs = only_jobs(place)
    with place.daemon():
        until_runs(place, *jobs)
        script = (
            "from reconciler.client import TrainerClient, ContainerBackendConfig\n"
            "client = TrainerClient(ContainerBackendConfig(container_runtime='process'))\n"
            f"[client.delete_job(name) for name in {jobs!r}]\n"
        )

        done = place.python(script)

        assert done.returncode == 0, done.stderr
        until_gone(place, *jobs)
