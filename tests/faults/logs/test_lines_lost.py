"""No line of a log is lost while no daemon looks, whatever ended meanwhile and whether containers are kept."""

from __future__ import annotations

import pytest

from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

KEEP = "--no-auto-remove"
LINES = 3000


def _printing(flags: Flags) -> str:
    """Shell: a line at once, and many after the flag."""
    return f"{flags.note('begun')}echo begun; {flags.wait()} seq {LINES}; "


def _expected(end: str = "") -> str:
    return "begun\n" + "".join(f"{number}\n" for number in range(1, LINES + 1)) + end


def _exited(workspace: Workspace, job: str, flags: Flags, count: int) -> bool:
    """Whether the job's containers have ended, looked at without the code under test."""
    if workspace.engine == "process":
        return len(flags.notes("ended")) >= count
    return [c["State"]["Status"] for c in workspace.containers(job)] == ["exited"] * count


@pytest.mark.parametrize("option", [KEEP, "--auto-remove"])
@pytest.mark.parametrize("kind", ["podman", "docker", "process"])
def test_a_job_that_ends_while_no_daemon_runs_has_its_whole_log_and_its_address(
    make_workspace, kind: str, option: str
) -> None:
    workspace = make_workspace(kind)
    job, flags = unique("gap"), Flags(workspace)
    script = _printing(flags) + flags.note("$RANK", "ended")
    workspace.write("j.yaml", flags.runtime(nodes=2), shell(job, "rt", script))
    with workspace.daemon(option) as daemon:
        flags.until_noted(2)
        eventually(lambda: workspace.log(job, 0) == "begun\n", "the log is followed")
        daemon.kill()
    flags.raise_flag()
    eventually(lambda: _exited(workspace, job, flags, 2), "both have ended")

    with workspace.daemon(option):
        status = workspace.until_phase(job, "Complete")
        told = [workspace.log(job, rank) for rank in range(2)]

    assert told == [_expected()] * 2
    assert all(node["ip"] for node in status["nodes"]), status["nodes"]
    assert status["network"]["subnet"]
    assert workspace.cli("logs", job, "--node", "0").stdout == _expected()


@pytest.mark.one_engine
def test_an_unfinished_log_of_a_job_that_was_complete_is_completed_at_the_next_start(
    containers: Workspace,
) -> None:
    job, flags = unique("late"), Flags(containers)
    containers.write("j.yaml", flags.runtime(), shell(job, "rt", f"seq {LINES}"))
    with containers.daemon(KEEP):
        containers.until_phase(job, "Complete")
        log = next((containers.root / "state/reconciler/logs/default" / job).glob("*/*.log"))
    # As an earlier version left it: the end recorded, the log cut, and nothing said about it.
    for index in log.parent.glob(".*.json"):
        index.write_text(f'[["{containers.containers(job)[0]["Id"]}", 0]]')
    log.write_bytes(log.read_bytes()[:1000])

    with containers.daemon(KEEP):
        eventually(lambda: containers.log(job, 0).endswith(f"\n{LINES}\n"), "the log is whole")

    assert containers.log(job, 0) == "".join(f"{number}\n" for number in range(1, LINES + 1))
    assert containers.phase(job) == "Complete"


@pytest.mark.one_engine
def test_restarts_in_place_that_nobody_saw_keep_every_run(containers: Workspace) -> None:
    job, flags = unique("runs"), Flags(containers)
    script = f"{_printing(flags)}{flags.once('echo first; exit 1')} echo second"
    rt = flags.runtime(job={"backoffLimit": 3}, pod={"restartPolicy": "OnFailure"})
    containers.write("j.yaml", rt, shell(job, "rt", script))
    with containers.daemon(KEEP) as daemon:
        flags.until_noted(1)
        daemon.kill()
    flags.raise_flag()
    eventually(lambda: _exited(containers, job, flags, 1), "the first run has ended")

    with containers.daemon(KEEP):
        containers.until_phase(job, "Complete")
        told = containers.log(job, 0)

    assert told == _expected("first\n") + _expected("second\n")


@pytest.mark.one_engine
def test_init_containers_and_sidecars_lose_nothing_either(containers: Workspace) -> None:
    job, flags = unique("init"), Flags(containers)
    image = flags.runtime()["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"][
        "spec"
    ]["containers"][0]["image"]
    mount = {"volumeMounts": [{"name": "f", "mountPath": flags.inside}]}
    init = [
        {
            "name": "side",
            "image": image,
            "restartPolicy": "Always",
            "command": ["sh", "-c", f"echo side; {flags.wait('never')}"],
            **mount,
        },
        {"name": "prepare", "image": image, "command": ["sh", "-c", _printing(flags)], **mount},
    ]
    containers.write("j.yaml", flags.runtime(pod={"initContainers": init}), shell(job, "rt", "echo main"))
    with containers.daemon(KEEP) as daemon:
        flags.until_noted(1)
        daemon.kill()
    flags.raise_flag()
    eventually(
        lambda: "exited" in [c["State"]["Status"] for c in containers.containers(job)], "the init has ended"
    )

    with containers.daemon(KEEP):
        containers.until_phase(job, "Complete", seconds=90)
        folder = containers.root / "state/reconciler/logs/default" / job / "0"
        told = {path.name: path.read_text() for path in folder.glob("*.log")}

    assert told[f"{job}-node-0-prepare.log"] == _expected()
    assert told[f"{job}-node-0-side.log"] == "side\n"
    assert told[f"{job}-node-0.log"] == "main\n"
