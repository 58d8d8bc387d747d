"""How many files the daemon may have open: raised for itself, not for jobs; scarce ones end nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import images
from tests.support.flags import Flags
from tests.support.manifests import runtime, shell
from tests.support.workspaces import Daemon, Workspace, eventually, unique

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(sys.platform != "linux", reason="the limit of another process is read from /proc"),
]

NODES = 24
#: Fewer than so many nodes take by themselves: two for each.
FEW = 64


def limited(arguments: str) -> tuple[str, ...]:
    """Words before a command that run it with another limit."""
    return ("sh", "-c", f'ulimit {arguments}; exec "$@"', "sh")


def limits(process: int) -> tuple[str, str]:
    """The soft and the hard limit of open files."""
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()
    words = next(line for line in lines if line.startswith("Max open files")).split()
    return words[3], words[4]


def soft_is_hard(daemon: Daemon) -> bool:
    soft, hard = limits(daemon.process.pid)
    return soft == hard or int(soft) >= 1 << 20


@pytest.mark.one_engine
def test_a_job_of_many_nodes_ends_well_with_few_descriptors_and_no_log_is_lost(containers: Workspace) -> None:
    job = unique("many")
    flags = Flags(containers)
    # All run at a time: the last of them lets all end.
    script = f"echo up; {flags.note('x')} until [ $(wc -l < {flags.inside}/notes) -ge {NODES} ]; do sleep 0.2; done"
    containers.write("j.yaml", flags.runtime(nodes=NODES), shell(job, "rt", script))
    containers.prefix = limited(f"-n {FEW}")
    with containers.daemon():
        containers.until_phase(job, "Complete", seconds=200)

    logs = [containers.log(job, rank) for rank in range(NODES)]
    assert logs == ["up\n"] * NODES


def test_the_daemon_raises_its_own_limit_and_jobs_keep_the_one_it_was_started_with(
    processes: Workspace,
) -> None:
    job = unique("limit")
    flags = Flags(processes)
    probe = {"exec": {"command": ["sh", "-c", f"ulimit -n > {flags.inside}/probed"]}, "periodSeconds": 1}
    rt = flags.runtime(container={"startupProbe": probe})
    processes.write("j.yaml", rt, shell(job, "rt", f"ulimit -n; {flags.wait()}"))
    processes.prefix = limited("-S -n 200")
    with processes.daemon() as daemon:
        processes.until_phase(job, "Running")
        assert soft_is_hard(daemon)
        eventually((flags.folder / "probed").exists, "a command is run in the container")
        flags.raise_flag()
        processes.until_phase(job, "Complete")

    assert processes.log(job, 0) == "200\n"
    assert (flags.folder / "probed").read_text() == "200\n"


def test_without_a_descriptor_to_spare_the_daemon_says_so_and_goes_on_when_there_are_some(
    processes: Workspace,
) -> None:
    first, second = unique("before"), unique("after")
    processes.write("rt.yaml", runtime("rt", images.reference()))
    processes.write("j.yaml", shell(first, "rt", "true"))
    with processes.daemon() as daemon:
        processes.until_phase(first, "Complete")
        process = daemon.process.pid
        before = limits(process)
        used = sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
        set_limit(process, str(used))
        processes.write("k.yaml", shell(second, "rt", "true"))
        eventually(lambda: "open files" in daemon.text(), "the log says what is short")

        set_limit(process, before[0])

        processes.until_phase(second, "Complete")
        assert "internal error" not in daemon.text()


def set_limit(process: int, soft: str) -> None:
    import resource  # noqa: PLC0415  (not on every system)

    hard = resource.prlimit(process, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(process, resource.RLIMIT_NOFILE, (int(soft), hard))
