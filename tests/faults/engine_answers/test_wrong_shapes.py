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

pytestmark = pytest.mark.engine

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
        return {path.name: len(path.read_text().split()) for path in self.folder.iterdir() if path.name != "go"}

    @property
    def go(self) -> Path:
        """What a script may wait for."""
        return self.folder / "go"


def no_id(items: Any) -> Any:
    return [item | {"Id": None} for item in items]


def no_state(found: Any) -> Any:
    return found | {"State": None}


def _reported(job: Counted) -> bool:
    return "EngineFailing" in [c["type"] for c in job.workspace.status(job.job).get("conditions", [])]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        pytest.param(LIST, lambda _: [{}], id="a list of an empty object"),
        pytest.param(LIST, no_id, id="no ids"),
        pytest.param(LIST, lambda items: [i | {"Labels": {}} for i in items], id="no labels"),
        pytest.param(LIST, lambda _: [1, None], id="a list of anything"),
        pytest.param(LIST, lambda _: {}, id="an object instead of a list"),
        pytest.param(LIST, lambda _: None, id="null"),
        pytest.param(LIST, lambda _: b"", id="nothing"),
        pytest.param(LIST, lambda _: b"<html>busy</html>", id="a page"),
        pytest.param(LIST, lambda _: b"[" * 100_000, id="nested for ever"),
        pytest.param(INSPECT, no_state, id="an inspect without a state"),
        pytest.param(INSPECT, lambda _: [], id="a list instead of an inspect"),
        pytest.param(INSPECT, lambda i: i | {"Id": "f" * 64, "Name": "/other"}, id="an inspect of another"),
        pytest.param(
            INSPECT, lambda i: i | {"State": i["State"] | {"FinishedAt": "soon"}}, id="a time that is none"
        ),
    ],
)
def test_a_rank_runs_once_whatever_the_engine_says(
    containers: Workspace, faulty_engine: FaultyEngine, path: str, change: Callable[[Any], Any]
) -> None:
    between = faulty_engine(containers)
    job = Counted(containers, "while [ ! -e /w/go ]; do sleep 0.1; done")
    with containers.daemon("--resync", "2") as daemon:
        containers.until_phase(job.job, "Running")
        rule = between.on("GET", path, alter(change))
        job.go.touch()
        eventually(lambda: _reported(job), f"the job is told\n{daemon.text()[-3000:]}")
        assert rule.struck.is_set()
        assert daemon.process.poll() is None
        assert "internal error" not in daemon.text()
        between.clear()
        containers.until_phase(job.job, "Complete")
        eventually(lambda: not _reported(job), "it is told no more")

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
    for method, path in (("GET", "/info"), ("GET", "/version"), ("POST", "/networks/create"), ("GET", "/images/")):
        between.on(method, path, replace(answer, done=method == "GET"), times=1)
    job = Counted(containers)

    with containers.daemon() as daemon:
        containers.until_phase(job.job, "Complete")
        assert "internal error" not in daemon.text()

    assert list(job.runs().values()) == [1]


def _events(between: Proxy) -> int:
    return len(between.asked("GET", "/events"))


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b'{"Type": 1}\n', b"no json\n", b'{"Type":"container","Actor":7}\n'])
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
