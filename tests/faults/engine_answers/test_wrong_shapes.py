"""Answers of an engine that have not the shape they must have: nothing is decided on them, and nobody sees a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.proxies import Fault, FaultyEngine, Proxy, alter, replace
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [pytest.mark.engine, pytest.mark.one_engine]

Change = Callable[[Any], Any]

LIST = r"/containers/json"
INSPECT = r"/containers/[0-9a-f]{64}/json"
CREATE = r"/containers/create"


class Counted:
    """A job whose runs are counted by the containers themselves, whatever the daemon believes."""

    def __init__(self, workspace: Workspace, script: str = "", **trainer: Any) -> None:
        self.workspace = workspace
        self.job = unique("counted")
        self.folder = workspace.root / "runs"
        self.folder.mkdir()
        container = {"volumeMounts": [{"name": "w", "mountPath": "/w"}]}
        pod = {"volumes": [{"name": "w", "hostPath": {"path": str(self.folder)}}]}
        rt = runtime("rt", images.reference(), container=container, pod=pod, job={"backoffLimit": 2})
        counting = f"echo run >> /w/$PET_NODE_RANK-$HOSTNAME; {script}"
        workspace.write("j.yaml", rt, shell(self.job, "rt", counting, **trainer))

    def runs(self) -> dict[str, int]:
        """How often each rank has run."""
        return {
            path.name: len(path.read_text().split()) for path in self.folder.iterdir() if path.name != "go"
        }

    @property
    def go(self) -> Path:
        """What a script may wait for."""
        return self.folder / "go"


def _reported(job: Counted) -> bool:
    return "EngineFailing" in [c["type"] for c in job.workspace.status(job.job).get("conditions", [])]


#: What a listing says while the job runs.
LISTS: dict[str, Change] = {
    "a list of an empty object": lambda _: [{}],
    "no ids": lambda items: [item | {"Id": None} for item in items],
    "no labels": lambda items: [item | {"Labels": {}} for item in items],
    "a list of anything": lambda _: [1, None],
    "an object instead of a list": lambda _: {},
    "null": lambda _: None,
    "nothing": lambda _: b"",
    "a page": lambda _: b"<html>busy</html>",
    "nested for ever": lambda _: b"[" * 100_000,
}
#: What an inspect says of a container that has ended.
INSPECTS: dict[str, Change] = {
    "no state": lambda found: found | {"State": None},
    "a list": lambda _: [],
    "of another": lambda found: found | {"Id": "f" * 64, "Name": "/other"},
    "a time that is none": lambda found: found | {"State": found["State"] | {"FinishedAt": "soon"}},
    "no exit code": lambda found: found | {"State": found["State"] | {"ExitCode": None}},
}


def test_a_rank_runs_once_whatever_a_listing_says(containers: Workspace, faulty_engine: FaultyEngine) -> None:
    between = faulty_engine(containers)
    job = Counted(containers, "while [ ! -e /w/go ]; do sleep 0.1; done")
    with containers.daemon("--resync", "1") as daemon:
        containers.until_phase(job.job, "Running")
        for what, change in LISTS.items():
            between.on("GET", LIST, alter(change))
            eventually(lambda: _reported(job), f"{what}: the job is told\n{daemon.text()[-3000:]}")
            between.clear()
            eventually(lambda: not _reported(job), f"{what}: it is told no more")
        between.on("GET", LIST, alter(LISTS["no ids"]), times=4)
        job.go.touch()
        containers.until_phase(job.job, "Complete")
        assert "internal error" not in daemon.text()

    assert list(job.runs().values()) == [1]


@pytest.mark.parametrize("change", INSPECTS.values(), ids=INSPECTS)
def test_a_rank_runs_once_whatever_an_inspect_says(
    containers: Workspace, faulty_engine: FaultyEngine, change: Change
) -> None:
    between = faulty_engine(containers)
    job = Counted(containers, "while [ ! -e /w/go ]; do sleep 0.1; done")
    with containers.daemon() as daemon:
        containers.until_phase(job.job, "Running")
        between.on("GET", INSPECT, alter(change))
        job.go.touch()
        eventually(lambda: _reported(job), f"the job is told\n{daemon.text()[-3000:]}")
        between.clear()
        containers.until_phase(job.job, "Complete")
        assert "internal error" not in daemon.text()

    assert list(job.runs().values()) == [1]


WRONG_CREATES = [{}, [], [1, None], {"Id": None}, {"Id": 7}, b"no json", {"Id": "a/../b"}]


def test_a_create_that_is_answered_wrongly_is_found_later(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    lies = iter(WRONG_CREATES)
    job = Counted(containers)
    faults: list[Fault] = [replace(lie) for lie in lies]
    for nth, fault in enumerate(faults[:3], start=1):
        between.on("POST", CREATE, fault, nth=nth, times=1)

    with containers.daemon() as daemon:
        containers.until_phase(job.job, "Complete")
        assert "internal error" not in daemon.text()

    assert list(job.runs().values()) == [1]


@pytest.mark.parametrize("answer", [{}, [1, None], b"<html>", {"Id": None}], ids=repr)
def test_a_wrong_answer_at_the_start_is_waited_out(
    containers: Workspace, faulty_engine: FaultyEngine, answer: Any
) -> None:
    """Version, information, networks: what is asked for before any container."""
    between = faulty_engine(containers)
    for method, path in (
        ("GET", "/info"),
        ("GET", "/version"),
        ("POST", "/networks/create"),
        ("GET", "/images/"),
    ):
        between.on(method, path, replace(answer, done=method == "GET"), times=1)
    job = Counted(containers)

    with containers.daemon() as daemon:
        containers.until_phase(job.job, "Complete")
        assert "internal error" not in daemon.text()

    assert list(job.runs().values()) == [1]


def _events(between: Proxy) -> int:
    return len(between.asked("GET", "/events"))


@pytest.mark.parametrize(
    "line", [b"{}\n", b"[1]\n", b'{"Type": 1}\n', b"no json\n", b'{"Type":"container","Actor":7}\n']
)
def test_events_that_cannot_be_read_are_followed_by_a_listing(
    containers: Workspace, faulty_engine: FaultyEngine, line: bytes
) -> None:
    between = faulty_engine(containers)
    between.on("GET", "/events", replace(line, done=False), times=2)
    job = Counted(containers)

    with containers.daemon() as daemon:
        eventually(lambda: _events(between) >= 3, "events are followed again")
        containers.until_phase(job.job, "Complete")
        assert "Traceback" not in daemon.text()
