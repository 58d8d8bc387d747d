"""Words that fingers know from kubectl, and what they do."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.faults.conftest import MakeWorkspace
from tests.faults.newcomer_cli.jobs import marked, until_runs
from tests.faults.newcomer_cli.terminal import on_terminal
from tests.support import images
from tests.support.manifests import UNTIL_TERM, runtime
from tests.support.workspaces import PYTHON, Workspace, eventually, unique

pytestmark = pytest.mark.engine


@pytest.fixture
def place(make_workspace: MakeWorkspace) -> Workspace:
    """Processes, a runtime of two nodes."""
    place = make_workspace("process")
    place.write("rt.yaml", runtime("rt", "none", nodes=2))
    return place


def test_get_describe_and_events_take_kubectls_words(place: Workspace) -> None:
    job = unique("words")
    place.write("j.yaml", marked(job))
    with place.daemon():
        until_runs(place, job)

        bare = place.cli("get")
        pages = [place.cli("describe", *words).stdout for words in ([job], ["job", job], [f"job/{job}"])]
        events = place.cli("events", "--for", f"job/{job}")

    assert (bare.returncode, bare.stdout.split()[0]) == (0, "NAME")
    assert all(f"Name:          {job}" in page or job in page.splitlines()[0] for page in pages)
    assert "Started" in events.stdout
    assert events.stdout.splitlines()[0].split() == ["AGE", "TYPE", "REASON", "MESSAGE"]


def test_forms_for_scripts(place: Workspace) -> None:
    one, two = sorted(unique("form") for _ in range(2))
    place.write("j.yaml", marked(one), marked(two))

    names = place.cli("get", "jobs", "-o", "name").stdout.split()
    template = '{range .items[*]}{.metadata.name}={.status.phase}{"\\n"}{end}'
    filled = place.cli("get", "jobs", "-o", f"jsonpath={template}").stdout
    phase = place.cli("get", f"job/{one}", "-o", "jsonpath={.status.phase}").stdout
    wrong = place.cli("get", "jobs", "-o", "jsonpath={.items[}")
    both = place.cli("get", "job", one, two, "-A")

    assert names == [f"trainjob.trainer.kubeflow.org/{name}" for name in (one, two)]
    assert filled == f"{one}=Pending\n{two}=Pending\n"
    assert phase == "Pending"
    assert wrong.returncode == 2
    assert "an index is expected" in wrong.stderr
    assert both.stdout.split()[:2] == ["NAMESPACE", "NAME"]


def test_version_and_bare_checks(place: Workspace) -> None:
    place.write("j.yaml", marked(unique("bare")))

    version = json.loads(place.cli("version", "-o", "json").stdout)
    validated = place.cli("validate")
    planned = place.cli("plan", "-o", "json")

    assert version["reconciler"]
    assert validated.returncode == 0, validated.stderr
    assert "2 objects in 2 files: valid" in validated.stderr
    assert len(json.loads(planned.stdout)["jobs"]) == 1


def test_run_help_is_grouped(place: Workspace) -> None:
    lines = place.cli("run", "--help").stdout.splitlines()

    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles[:6] == ["Options:", "Folders:", "Engine:", "Jobs:", "Daemon:", "Git repository:"]


@pytest.mark.parametrize("engine", ["process", "podman", "docker"])
def test_exec_runs_in_the_rank(make_workspace: MakeWorkspace, engine: str) -> None:
    place, job = make_workspace(engine), unique("exec")
    place.write("rt.yaml", runtime("rt", images.reference(), nodes=2))
    place.write("j.yaml", marked(job))
    with place.daemon():
        place.until_phase(job, "Running")
        eventually(lambda: all(n["state"] == "running" for n in place.status(job)["nodes"]), "both run")

        said = place.cli("exec", job, "--node", "1", "--", "sh", "-c", "echo rank $RANK; echo no >&2; exit 7")
        piped = subprocess.run(
            [PYTHON, "-m", "reconciler", "exec", "-i", job, "--", "sh", "-c", "cat; exit 3"],
            env=place.environment, cwd=place.root, input=b"x" * 200_000, capture_output=True, timeout=120,
            check=False,
        )  # fmt: skip
        typed = on_terminal(
            place,
            "exec",
            "-it",
            job,
            "--",
            "sh",
            typed=(b"# ", b"test -t 0 && stty size; exit 5\r"),
            columns=90,
        )
        missing = place.cli("exec", job, "--node", "9", "--", "true")

    assert (said.returncode, said.stdout, said.stderr) == (7, "rank 1\n", "no\n")
    assert (piped.returncode, len(piped.stdout)) == (3, 200_000)
    assert typed.status == 5
    assert "50 90" in typed.text
    assert missing.returncode == 1
    assert "no node of rank 9" in missing.stderr


def test_exec_says_what_does_not_run(place: Workspace) -> None:
    job = unique("exec")
    document = marked(job)
    document["spec"]["suspend"] = True
    place.write("j.yaml", document)
    with place.daemon():
        place.until_phase(job, "Suspended")

        done = place.cli("exec", job, "--", "true")

    assert done.returncode == 1
    assert f"{job}-node-0 does not run" in done.stderr
    assert "Suspended" in done.stderr


@pytest.mark.one_engine
def test_logs_with_times_come_from_the_engine(containers: Workspace) -> None:
    job = unique("times")
    containers.write("rt.yaml", runtime("rt", images.reference()))
    containers.write("j.yaml", marked(job, f"echo one; sleep 2; echo two; {UNTIL_TERM}"))
    with containers.daemon():
        containers.until_phase(job, "Running")
        eventually(lambda: "two" in containers.log(job, 0), "it has printed")

        dated = containers.cli("logs", job, "--timestamps").stdout.splitlines()
        all_of_it = containers.cli("logs", job, "--since", "1h").stdout
        none = containers.cli("logs", job, "--since", "0s").stdout
        times = [line.split()[0] for line in dated]
        second = containers.cli("logs", job, "--since", times[1]).stdout
        assert containers.cli("suspend", job).returncode == 0
        containers.until_phase(job, "Suspended")
        gone = containers.cli("logs", job, "--timestamps")

    assert [line.split()[1] for line in dated] == ["one", "two"]
    assert times == sorted(times)
    assert all_of_it == "one\ntwo\n"
    assert none == ""
    assert second == "two\n"
    assert gone.returncode == 1
    assert "There are no times" in gone.stderr


def test_logs_of_processes_have_no_times_and_say_so(place: Workspace) -> None:
    job = unique("times")
    place.write("j.yaml", marked(job))
    with place.daemon():
        until_runs(place, job)

        done = place.cli("logs", job, "--since", "1m")

    assert done.returncode == 1
    assert "keeps no times" in done.stderr
