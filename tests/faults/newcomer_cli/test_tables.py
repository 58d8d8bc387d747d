"""Each table on a real terminal: what matters is there at 80 columns, and into a pipe nothing is cut."""

from __future__ import annotations

import pytest

from tests.faults.conftest import MakeWorkspace
from tests.faults.newcomer_cli.jobs import marked
from tests.faults.newcomer_cli.terminal import Screen, on_terminal
from tests.support.manifests import runtime
from tests.support.workspaces import Workspace, eventually

pytestmark = pytest.mark.engine

TRAINER = "bert-pretraining-large-v2"
#: Longer than a line has room for.
LONG_NAME = "a-name-of-sixty-characters-which-is-more-than-a-table-holds"
WIDTHS = (80, 100, 120)


@pytest.fixture
def place(make_workspace: MakeWorkspace) -> Workspace:
    """A folder with a job that runs, one that has failed with a long message, and one that is invalid."""
    place = make_workspace("process")
    place.write("rt.yaml", runtime("rt", "none", nodes=2))
    place.write("runs.yaml", marked(TRAINER))
    place.write("fails.yaml", marked("fails", "echo a long story; exit 3"))
    bad = marked("bad")
    bad["spec"]["trainer"]["numNodes"] = -1
    place.write("bad.yaml", bad)
    return place


def test_tables_keep_what_matters_on_a_terminal(place: Workspace) -> None:
    with place.daemon():
        place.until_phase(TRAINER, "Running")
        place.until_phase("fails", "Failed")
        eventually(lambda: place.phase("bad") == "Invalid", "the invalid one has its status")

        for columns in WIDTHS:
            jobs = on_terminal(place, "get", columns=columns)
            wide = on_terminal(place, "get", "jobs", "-o", "wide", columns=columns)
            nodes = on_terminal(place, "get", "nodes", "-o", "wide", columns=columns)
            page = on_terminal(place, "describe", "fails", columns=columns)

            assert_columns(jobs, columns, "NAME", "PHASE", "NODES", "MESSAGE")
            assert jobs.row(TRAINER).split()[1:3] == ["Running", "2/2"]
            assert jobs.row("fails").split()[1] == "Failed"
            assert_columns(wide, columns, "NAME", "PHASE", "NODES")
            assert wide.row(TRAINER).split()[1:3] == ["Running", "2/2"]
            assert str(place.specs / "runs.yaml") in wide.text, "what has no room is below"
            assert_columns(nodes, columns, "JOB", "RANK", "CONTAINER", "STATE")
            assert_page(place, page, columns)

    piped = place.cli("get", "jobs").stdout
    status = place.status("fails")
    assert next(c["message"] for c in status["conditions"]).partition(";")[0] in piped


def assert_columns(screen: Screen, columns: int, *wanted: str) -> None:
    """Every line fits, but for paths (with a name) that the terminal wraps; the header has these columns."""
    header = screen.lines[0].split()
    assert [c for c in header if c in wanted] == list(wanted), screen.text
    for line in screen.lines:
        assert len(line) <= columns or len(line.split()) <= 3, line


def assert_page(place: Workspace, page: Screen, columns: int) -> None:
    table = page.text.partition("Nodes:")[2].splitlines()
    rank = next(line for line in table if line.lstrip().startswith("0 "))
    assert rank.split()[:3] == ["0", "fails-node-0", "exited"]
    for word in ("RANK", "STATE", "TYPE", "REASON"):
        assert word in page.text
    assert str(place.root / "state" / "reconciler" / "logs" / "default" / "fails" / "0") in page.text
    assert all(len(line) <= columns or len(line.split()) <= 3 for line in page.lines)
    events = page.text.partition("Events:")[2]
    assert "Warning" in events
    assert "Normal" in events


def test_other_tables_fit_into_80_columns(place: Workspace) -> None:
    place.write("long.yaml", marked(LONG_NAME))
    with place.daemon("--max-jobs", "1"):
        eventually(lambda: place.phase(LONG_NAME), "it is there")

        for command in (["get", "runtimes"], ["get", "host"], ["events"], ["get", "nodes"], ["doctor"]):
            screen = on_terminal(place, *command)
            assert all(len(line) <= 80 or len(line.split()) <= 3 for line in screen.lines), screen.text

        jobs = on_terminal(place, "get", "jobs")
        assert LONG_NAME in jobs.text, "a name is whole"
        assert jobs.row(LONG_NAME).split()[1] in {"Queued", "Running"}
        assert "No room for" in jobs.text


def test_watch_redraws_what_fits(place: Workspace) -> None:
    """The table of ``run --wait`` and of ``get --watch`` is the same one, drawn over."""
    (place.specs / "runs.yaml").unlink()
    place.settings["LOG_FORMAT"] = "console"

    screen = on_terminal(place, "run", "--wait", columns=80, timeout=90)

    assert screen.status == 1, screen.text
    rows = [line for line in screen.lines if line.startswith("fails ")]
    assert rows, screen.text
    assert rows[-1].split()[1] == "Failed"
