"""Records in another's place, or with times that cannot be: counted as lost, kept, and recovered from the sidecar."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.manifests import runtime, shell
from tests.support.workspaces import Workspace, unique

pytestmark = pytest.mark.engine


def folder(space: Workspace) -> Path:
    return space.root / "state" / "reconciler" / "records" / space.instance / "default"


def record_of(space: Workspace, job: str) -> Path:
    return folder(space) / f"{job}.json"


def finished_jobs(space: Workspace, count: int) -> list[str]:
    """Jobs that ran to their end, each of which says so once in its own file."""
    jobs = [unique(f"rec{number}") for number in range(count)]
    space.write("rt.yaml", runtime("rt", ""))
    for job in jobs:
        space.write(f"{job}.yaml", shell(job, "rt", f"echo ran >> {space.root}/{job}.runs"))
    assert space.cli("run", "--wait").returncode == 0
    return jobs


def runs(space: Workspace, job: str) -> int:
    return len((space.root / f"{job}.runs").read_text().splitlines())


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def set_aside(space: Workspace) -> list[Path]:
    return sorted(path for path in folder(space).iterdir() if ".lost-" in path.name)


def uid(space: Workspace, job: str) -> str:
    documents = [d for d in space.documents() if d["metadata"]["name"] == job and d["kind"] == "TrainJob"]
    assert len(documents) == 1
    return str(documents[0]["metadata"]["uid"])


def test_swapped_records_are_no_ones_and_nothing_runs_again(processes: Workspace) -> None:
    first, second = finished_jobs(processes, 2)
    before = uid(processes, first), uid(processes, second)
    swap(record_of(processes, first), record_of(processes, second))

    assert processes.cli("run", "--wait").returncode == 0

    assert (uid(processes, first), uid(processes, second)) == before
    assert [processes.phase(job) for job in (first, second)] == ["Complete", "Complete"]
    assert [runs(processes, job) for job in (first, second)] == [1, 1]
    assert len(set_aside(processes)) == 2
    assert f"it is the record of 'default/{second}'" in processes.said(first)


def test_a_record_copied_under_another_name_is_not_that_jobs(processes: Workspace) -> None:
    (first,) = finished_jobs(processes, 1)
    other = unique("other")
    shutil.copy(record_of(processes, first), record_of(processes, other))
    processes.write(f"{other}.yaml", shell(other, "rt", f"echo ran >> {processes.root}/{other}.runs"))

    assert processes.cli("run", "--wait").returncode == 0

    assert processes.phase(other) == "Complete"
    assert uid(processes, other) != uid(processes, first)
    assert [runs(processes, job) for job in (first, other)] == [1, 1]


def test_a_record_of_another_instance_is_not_this_ones(processes: Workspace) -> None:
    (job,) = finished_jobs(processes, 1)
    edit(record_of(processes, job), lambda record: record.update(instance="elsewhere"))

    assert processes.cli("run", "--wait").returncode == 0

    assert "belongs to the instance 'elsewhere'" in processes.said(job)
    assert runs(processes, job) == 1


@pytest.mark.parametrize(
    ("field", "moment"),
    [("created_at", float("nan")), ("clock_from", -5.0), ("finished_at", 1e308), ("finished_at", 3e12)],
)
def test_a_time_that_cannot_be_is_no_traceback_and_no_rerun(
    processes: Workspace, field: str, moment: float
) -> None:
    (job,) = finished_jobs(processes, 1)
    edit(record_of(processes, job), lambda record: record.update({field: moment}))
    next(processes.specs.glob("rec*.status.yaml")).touch()

    with processes.daemon() as daemon:
        processes.write("next.yaml", shell(f"{job}-next", "rt", "true"))
        processes.until_phase(f"{job}-next", "Complete")

    assert "reconcile failed" not in daemon.text()
    assert processes.phase(job) == "Complete"
    assert runs(processes, job) == 1
    assert len(set_aside(processes)) == 1


@pytest.mark.parametrize("moment", [253_370_000_000.0, float("inf")])
def test_no_wait_in_a_record_is_longer_than_any_back_off(processes: Workspace, moment: float) -> None:
    """A restart that is due in the year 9998."""
    job = unique("waits")
    processes.write("rt.yaml", runtime("rt", "", job={"backoffLimit": 5}, pod={"restartPolicy": "OnFailure"}))
    done = processes.root / "may-end"
    processes.write("job.yaml", shell(job, "rt", f"test -e {done}"))
    with processes.daemon():
        processes.until_phase(job, "Restarting")
    done.touch()

    def wait_long(record: dict[str, Any]) -> None:
        for container in record["containers"].values():
            container["not_before"] = moment

    edit(record_of(processes, job), wait_long)

    with processes.daemon():
        processes.until_phase(job, "Complete")


@pytest.mark.parametrize("content", [b"[]", b"[" * 100_000], ids=["list", "deep"])
def test_what_is_no_record_is_kept_and_nothing_runs_again(processes: Workspace, content: bytes) -> None:
    (job,) = finished_jobs(processes, 1)
    record_of(processes, job).write_bytes(content)

    assert processes.cli("run", "--wait").returncode == 0

    assert processes.phase(job) == "Complete"
    assert runs(processes, job) == 1
    assert [path.read_bytes() for path in set_aside(processes)] == [content]


def test_a_sidecar_copied_and_renamed_makes_no_second_object_of_one_uid(processes: Workspace) -> None:
    (first,) = finished_jobs(processes, 1)
    other = unique("other")
    text = (processes.specs / f"{first}.status.yaml").read_text()
    (processes.specs / f"{other}.status.yaml").write_text(text.replace(first, other))
    processes.write(f"{other}.yaml", shell(other, "rt", f"echo ran >> {processes.root}/{other}.runs"))

    assert processes.cli("run", "--wait").returncode == 0

    assert uid(processes, other) != uid(processes, first)
    assert [runs(processes, job) for job in (first, other)] == [1, 1]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", 1e308])
def test_times_in_a_sidecar_that_cannot_be_are_left_out(processes: Workspace, time: object) -> None:
    (job,) = finished_jobs(processes, 1)
    path = processes.specs / f"{job}.status.yaml"
    document = yaml.safe_load(path.read_text())
    document["status"]["startTime"] = time
    for entry in (*document["status"]["events"], *document["status"]["conditions"]):
        entry["time" if "time" in entry else "lastTransitionTime"] = time
    path.write_text(yaml.safe_dump(document))
    record_of(processes, job).unlink()

    assert processes.cli("get", "jobs").returncode == 0
    assert processes.cli("describe", job).returncode == 0
    assert processes.cli("run", "--wait").returncode == 0

    assert processes.phase(job) == "Complete"
    assert runs(processes, job) == 1
