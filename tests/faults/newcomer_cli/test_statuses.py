"""What a job says of itself while it is removed, restarted, suspended, queued, or without its status file."""

from __future__ import annotations

import re

import pytest

from tests.faults.conftest import MakeWorkspace
from tests.faults.newcomer_cli.jobs import marked, processes, until_runs
from tests.support.manifests import runtime
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


@pytest.fixture
def place(make_workspace: MakeWorkspace) -> Workspace:
    """Processes; ``rt`` retries as upstream's runtimes do."""
    place = make_workspace("process")
    retry = {"backoffLimit": 6}
    place.write("rt.yaml", runtime("rt", "none", job=retry, pod={"restartPolicy": "OnFailure"}))
    return place


def test_a_job_whose_manifest_went_is_terminating_while_it_stops(place: Workspace) -> None:
    job, flag = unique("slow"), place.root / "flag"
    manifest = place.write("j.yaml", marked(job, f"trap '' TERM; while test ! -e {flag}; do sleep 0.1; done"))
    with place.daemon():
        until_runs(place, job)
        manifest.unlink()

        status = place.until_phase(job, "Terminating")
        row = place.cli("get", "jobs").stdout
        document = next(d for d in place.documents() if d["metadata"]["name"] == job)
        flag.touch()
        eventually(lambda: not place.status(job), "it is gone")

    assert "containers are being stopped" in status["message"]
    assert "Terminating" in row
    assert document["metadata"]["deletionTimestamp"]


def test_a_restart_says_which_try_and_when(place: Workspace) -> None:
    job, flag = unique("tries"), place.root / "flag"
    place.write("j.yaml", marked(job, f"test -e {flag} && sleep 600; exit 7"))
    with place.daemon():
        status = place.until_phase(job, "Restarting")
        row = place.cli("get", "jobs").stdout
        flag.touch()
        eventually(lambda: "runs, try 2 of 7" in place.status(job).get("message", ""), "the second try runs")

    told = rf"{job}-node-0 starts again at \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ, try 2 of 7"
    assert re.match(told, status["message"])
    assert "exit code 7" in status["message"]
    assert re.search(told, row)


def test_run_wait_shows_restarts_and_output(place: Workspace) -> None:
    job, once = unique("lines"), place.root / "once"
    place.write("j.yaml", marked(job, f"echo hello; test -e {once} && exit 0; touch {once}; exit 7"))
    place.settings["LOG_FORMAT"] = "console"

    done = place.cli("run", "--wait", "--logs")

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line] == [f"{job}-node-0 | hello"] * 2
    assert "try 2 of 7" in done.stderr


def test_run_wait_does_not_wait_for_suspended_jobs(place: Workspace) -> None:
    good, held = unique("good"), unique("held")
    document = marked(held)
    document["spec"]["suspend"] = True
    place.write("j.yaml", marked(good, "exit 0"), document)

    done = place.cli("run", "--wait", timeout=90)

    assert done.returncode == 0
    assert held in done.stderr
    assert "suspended jobs not waited for" in done.stderr
    assert place.phase(good) == "Complete"
    assert place.phase(held) == "Suspended"


def test_run_wait_has_the_status_of_those_that_are_not_suspended(place: Workspace) -> None:
    bad, held = unique("bad"), unique("held")
    document = marked(held)
    document["spec"]["suspend"] = True
    place.write("rt2.yaml", runtime("once", "none"))
    failing = marked(bad, "exit 1")
    failing["spec"]["runtimeRef"]["name"] = "once"
    place.write("j.yaml", failing, document)

    assert place.cli("run", "--wait", timeout=90).returncode == 1


def test_a_killed_daemon_is_not_alive_for_doctor(place: Workspace) -> None:
    place.write("j.yaml", marked(unique("doctor"), "exit 0"))
    with place.daemon() as daemon:
        eventually(lambda: "engine connected" in daemon.text(), "the daemon is up")
        alive = place.cli("doctor").stdout
        pid = daemon.process.pid
        daemon.kill()

    killed = place.cli("doctor").stdout

    assert alive.count(f"pid {pid}") == 1
    assert f"pid {pid}" not in killed
    assert "none works on this folder now" in killed


def test_a_lost_status_file_is_not_a_job_that_nobody_has_seen(place: Workspace) -> None:
    job = unique("clean")
    place.write("j.yaml", marked(job))
    with place.daemon("--resync", "60"):
        until_runs(place, job)
        (place.specs / "j.status.yaml").unlink()

        row = place.cli("get", "jobs").stdout.splitlines()[1]

        assert row.split()[:2] == [job, "Running"]
        assert "status file is gone" in row
        assert "no daemon has seen it" not in row


def test_a_job_of_which_only_the_record_is_left_is_listed(place: Workspace) -> None:
    """``git clean`` takes manifests and statuses that are not committed alike."""
    jobs = sorted(unique("clean") for _ in range(2))
    for name in jobs:
        place.write(f"{name}.yaml", marked(name))
    with place.daemon():
        until_runs(place, *jobs)
        for path in place.specs.iterdir():
            path.unlink()
        eventually(lambda: "All manifests are gone" in place.cli("get", "jobs").stdout, "get says it")

        page = place.cli("describe", jobs[0]).stdout
        assert place.cli("delete", *jobs).returncode == 0
        for name in jobs:
            eventually(lambda name=name: not processes(name), f"{name} gone")

    assert f"reconciler delete {jobs[0]}" in page


def test_queued_jobs_have_different_positions(place: Workspace) -> None:
    first, *waiting = (unique("queue") for _ in range(3))
    place.write(f"{first}.yaml", marked(first))
    with place.daemon("--max-jobs", "1"):
        until_runs(place, first)
        low, high = waiting
        place.write("low.yaml", marked(low))
        place.until_phase(low, "Queued")
        document = marked(high)
        document["metadata"]["annotations"] = {"reconciler.trainer.kubeflow.org/priority": "5"}
        place.write("high.yaml", document)
        place.until_phase(high, "Queued")

        def positions() -> list[str]:
            return [re.findall(r"position (\d+)", place.status(name).get("message", "")) for name in waiting]

        eventually(lambda: positions() == [["2"], ["1"]], "each has its own position")
