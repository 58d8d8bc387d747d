"""Calls that hang, or take for ever, for one job: the others go on, and the job is told what it waits for."""

from __future__ import annotations

import pytest

from tests.support import images
from tests.support.manifests import runtime, shell
from tests.support.proxies import FaultyEngine, drip, hang
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [pytest.mark.engine, pytest.mark.one_engine]

CREATE = r"/containers/create"
LIST = r"/containers/json"


def _condition(workspace: Workspace, job: str) -> str:
    found = workspace.status(job).get("conditions", [])
    return next((f"{c['reason']}: {c['message']}" for c in found if c["type"] == "EngineFailing"), "")


def test_a_create_that_hangs_holds_up_no_other_job(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    hung, others = unique("hung"), [unique("other") for _ in range(3)]
    rule = between.on("POST", CREATE, hang(), mentions=f"{hung}-node-0")
    containers.write("a.yaml", runtime("rt", images.reference()), shell(hung, "rt", "true", numNodes=16))

    with containers.daemon() as daemon:
        assert rule.struck.wait(60), daemon.text()
        for job in others:
            containers.write(f"{job}.yaml", shell(job, "rt", "true", numNodes=2))
        for job in others:
            containers.until_phase(job, "Complete", seconds=25)
        eventually(lambda: "EngineSlow" in _condition(containers, hung), "the job is told")
        assert f"create the container {hung}-node-0" in _condition(containers, hung)
        between.clear()
        containers.until_phase(hung, "Complete")


def test_all_creates_of_a_job_may_hang(containers: Workspace, faulty_engine: FaultyEngine) -> None:
    between = faulty_engine(containers)
    hung, other = unique("hung"), unique("other")
    rule = between.on("POST", CREATE, hang(), mentions=f"{hung}-node-", nth=2)
    containers.write("a.yaml", runtime("rt", images.reference()), shell(hung, "rt", "true", numNodes=12))

    with containers.daemon() as daemon:
        assert rule.struck.wait(60), daemon.text()
        containers.write("b.yaml", shell(other, "rt", "true", numNodes=4))
        containers.until_phase(other, "Complete", seconds=30)
        between.clear()
        containers.until_phase(hung, "Complete")


def test_as_many_hanging_jobs_as_workers_hold_up_no_other(
    containers: Workspace, faulty_engine: FaultyEngine
) -> None:
    between = faulty_engine(containers)
    stem, other = unique("hung"), unique("other")
    jobs = [f"{stem}-{number}" for number in range(20)]
    between.on("GET", LIST, hang(), mentions=f"job-name={stem}-")
    documents = [shell(job, "rt", "true") for job in jobs]
    containers.write("a.yaml", runtime("rt", images.reference()), *documents)

    with containers.daemon() as daemon:
        eventually(
            lambda: sum(f"job-name={stem}-" in r.target for r in between.asked("GET", LIST)) >= 16,
            f"all workers wait\n{daemon.text()[-2000:]}",
        )
        containers.write("b.yaml", shell(other, "rt", "true"))
        containers.until_phase(other, "Complete", seconds=30)
        eventually(
            lambda: all("EngineSlow" in _condition(containers, job) for job in jobs[:16]), "they are told"
        )
        between.clear()
        (containers.specs / "a.yaml").unlink()
        eventually(lambda: not any(containers.status(job) for job in jobs), "they are removed")


def test_a_list_that_drips_is_told_of(containers: Workspace, faulty_engine: FaultyEngine) -> None:
    between = faulty_engine(containers)
    job, other = unique("dripped"), unique("other")
    rule = between.on("GET", LIST, drip(1.0), mentions=job)
    containers.write("a.yaml", runtime("rt", images.reference()), shell(job, "rt", "true"))
    containers.write("b.yaml", shell(other, "rt", "true"))

    with containers.daemon() as daemon:
        containers.until_phase(other, "Complete", seconds=30)
        assert rule.struck.wait(60), daemon.text()
        rule.fault = hang()
        eventually(lambda: "list containers" in _condition(containers, job), "the job is told")
        between.clear()
        containers.until_phase(job, "Complete")
        eventually(lambda: not _condition(containers, job), "it is told no more")


def test_stops_with_long_grace_hold_up_no_other_job(processes: Workspace) -> None:
    """As many jobs as there are workers wait out their grace period."""
    stem, other = unique("slow"), unique("other")
    rt = runtime("rt", "none", pod={"terminationGracePeriodSeconds": 120})
    jobs = [f"{stem}-{number}" for number in range(18)]
    end = processes.root / "end"
    script = f"trap '' TERM; echo up; while [ ! -e {end} ]; do sleep 0.5; done"
    documents = [shell(job, "rt", script) for job in jobs]
    processes.write("rt.yaml", rt)
    processes.write("a.yaml", *documents)

    with processes.daemon() as daemon:
        for job in jobs:
            processes.until_phase(job, "Running")
        eventually(lambda: all("up" in processes.log(job, 0) for job in jobs), daemon.text()[-1000:])
        (processes.specs / "a.yaml").unlink()
        processes.write("b.yaml", shell(other, "rt", "true"))
        processes.until_phase(other, "Complete", seconds=40)
        end.touch()
        eventually(lambda: not any(processes.status(job) for job in jobs), "they are removed")
