"""What users change while a job lives: suspend and resume, specs, files, runtimes."""

from __future__ import annotations

import pytest

from tests.support.flags import Flags
from tests.support.manifests import annotated, condition, runtime, shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine


def _ids(workspace: Workspace, job: str) -> list[str]:
    return [n["containerID"] for n in workspace.status(job)["nodes"]]


@pytest.mark.one_engine
def test_suspend_stops_and_resume_starts_anew_at_the_same_addresses(workspace: Workspace) -> None:
    job = unique("pause")
    flags = Flags(workspace)
    script = f"echo here; {flags.note('$RANK $RECONCILER_ATTEMPT $MASTER_ADDR')} {flags.wait()}"
    workspace.write("j.yaml", flags.runtime(nodes=2), shell(job, "rt", script))
    with workspace.daemon():
        first = sorted(flags.until_noted(2))
        assert workspace.cli("suspend", job).returncode == 0
        suspended = workspace.until_phase(job, "Suspended")
        if workspace.engine != "process":
            eventually(lambda: not workspace.containers(job), "containers gone")
        assert workspace.cli("resume", job).returncode == 0
        second = sorted(flags.until_noted(4)[2:])
        flags.raise_flag()
        ended = workspace.until_phase(job, "Complete")

    address = first[0].split()[2]
    assert first == [f"{rank} 0 {address}" for rank in range(2)]
    assert second == [f"{rank} 1 {address}" for rank in range(2)]
    assert condition(suspended, "Suspended")["reason"] == "Suspended"
    assert suspended["jobsStatus"][0]["suspended"] == 1
    assert condition(ended, "Suspended") | {"lastTransitionTime": 0, "message": ""} == {
        "type": "Suspended",
        "status": "False",
        "reason": "Resumed",
        "lastTransitionTime": 0,
        "message": "",
    }
    # What ran before the suspension is not lost.
    folder = workspace.root / "state" / "reconciler" / "logs" / "default" / job
    assert [p.read_text()[:5] for p in sorted(folder.glob("*/*.log"))] == ["here\n"] * 4


@pytest.mark.one_engine
def test_a_job_created_suspended_waits_untouched(workspace: Workspace) -> None:
    job = unique("asleep")
    flags = Flags(workspace)
    document = shell(job, "rt", "echo awake")
    document["spec"]["suspend"] = True
    workspace.write("j.yaml", flags.runtime(), document)
    with workspace.daemon():
        workspace.until_phase(job, "Suspended")
        if workspace.engine != "process":
            assert workspace.containers(job) == []
        workspace.cli("resume", job)
        status = workspace.until_phase(job, "Complete")

    assert status["attempt"] == 0


@pytest.mark.one_engine
def test_a_change_of_an_immutable_field_is_refused_with_field_and_remedy(containers: Workspace) -> None:
    job = unique("frozen")
    flags = Flags(containers)
    containers.write("rt.yaml", flags.runtime())
    containers.write("j.yaml", shell(job, "rt", flags.wait() + "echo as it was"))
    with containers.daemon():
        containers.until_phase(job, "Running")
        before = _ids(containers, job)

        containers.write("j.yaml", shell(job, "rt", "echo something else"))
        eventually(lambda: "UpdateRefused" in containers.said(job), "the refusal is said")
        assert containers.phase(job) == "Running"
        assert _ids(containers, job) == before
        flags.raise_flag()
        containers.until_phase(job, "Complete")

    said = containers.said(job)
    assert "spec.trainer" in said
    assert "reconciler rerun" in said
    assert containers.log(job, 0) == "as it was\n"


@pytest.mark.one_engine
@pytest.mark.parametrize("by", ["option", "annotation"])
def test_recreate_replaces_what_runs(containers: Workspace, by: str) -> None:
    job = unique("anew")
    flags = Flags(containers)
    containers.write("rt.yaml", flags.runtime())
    policy = {"update_policy": "Recreate"} if by == "annotation" else {}
    containers.write("j.yaml", annotated(shell(job, "rt", flags.wait()), **policy))
    with containers.daemon(*(["--update-policy", "Recreate"] if by == "option" else [])):
        containers.until_phase(job, "Running")
        before = _ids(containers, job)

        containers.write("j.yaml", annotated(shell(job, "rt", "echo the new one"), **policy))
        eventually(lambda: containers.log(job, 0).endswith("the new one\n"), "the new one runs")
        containers.until_phase(job, "Complete")

        assert _ids(containers, job) != before


@pytest.mark.one_engine
def test_a_runtime_edited_or_removed_does_not_disturb_what_started_from_it(containers: Workspace) -> None:
    job = unique("kept")
    flags = Flags(containers)
    path = containers.write("rt.yaml", flags.runtime(nodes=2))
    document = shell(job, "rt", f"{flags.note('$WORLD_SIZE $RECONCILER_ATTEMPT')}{flags.wait()}")
    containers.write("j.yaml", document)
    with containers.daemon():
        flags.until_noted(2)
        containers.until_phase(job, "Running")
        before = _ids(containers, job)

        containers.write("rt.yaml", runtime("rt", "localhost/nothing:here", nodes=5))
        containers.write("other.yaml", flags.runtime("rt2"), shell(f"{job}-x", "rt2", "true"))
        containers.until_phase(f"{job}-x", "Complete")
        assert _ids(containers, job) == before
        path.unlink()
        containers.cli("suspend", job)
        containers.until_phase(job, "Suspended")
        containers.cli("resume", job)
        # Resumed without its runtime: as it was when it first started.
        flags.until_noted(4)
        flags.raise_flag()
        containers.until_phase(job, "Complete")

    assert flags.notes() == ["2 0", "2 0", "2 1", "2 1"]


@pytest.mark.one_engine
def test_moving_the_manifest_is_no_change(workspace: Workspace) -> None:
    job = unique("moved")
    flags = Flags(workspace)
    workspace.write("rt.yaml", flags.runtime())
    old = workspace.write("j.yaml", shell(job, "rt", f"{flags.note('started')}{flags.wait()}"))
    with workspace.daemon():
        flags.until_noted(1)
        workspace.until_phase(job, "Running")
        before = _ids(workspace, job)

        (workspace.specs / "team").mkdir()
        old.rename(workspace.specs / "team" / "renamed.yaml")
        sidecar = workspace.specs / "team" / "renamed.status.yaml"
        eventually(sidecar.exists, "the sidecar moves along")
        eventually(lambda: not (workspace.specs / "j.status.yaml").exists(), "the old sidecar goes")
        assert _ids(workspace, job) == before
        flags.raise_flag()
        workspace.until_phase(job, "Complete")

    assert flags.notes() == ["started"]


@pytest.mark.one_engine
def test_rerun_runs_a_finished_job_again(workspace: Workspace) -> None:
    job = unique("again")
    flags = Flags(workspace)
    workspace.write("j.yaml", flags.runtime(), shell(job, "rt", flags.note("ran")))
    with workspace.daemon():
        first = workspace.until_phase(job, "Complete")
        assert workspace.cli("rerun", job).returncode == 0
        flags.until_noted(2)
        second = workspace.until_phase(job, "Complete")

    assert flags.notes() == ["ran", "ran"]
    assert second["attempt"] == first["attempt"] + 1
