"""The host goes down in the middle, and comes up: jobs go on as their policy says, and nothing runs twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import engines, images
from tests.support.flags import Flags
from tests.support.machines import Machine, booted, cut_the_power, machine
from tests.support.manifests import shell
from tests.support.private_engines import ADDRESSES
from tests.support.workspaces import Daemon, Workspace, eventually, unique

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KINDS = ("retried", "gang", "final")


class Host:
    """A workspace on a machine."""

    def __init__(self, workspace: Workspace, engine: Machine | None) -> None:
        self.workspace = workspace
        self._engine = engine
        self._boot(alone=True)

    def _boot(self, *, alone: bool) -> None:
        # The daemon of a process engine is the parent of its containers: they go down together.
        self.workspace.prefix = booted(self.workspace.root, alone=alone and self._engine is None)

    def goes_down(self, daemon: Daemon) -> None:
        if self._engine is not None:
            self._engine.cut_the_power()
            daemon.kill()
        else:
            cut_the_power(daemon.process)

    def comes_up(self) -> None:
        if self._engine is not None:
            self._engine.start()
        self._boot(alone=False)


@pytest.fixture(params=["podman", "docker", "process"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """On each engine."""
    kind: str = request.param
    try:
        with contextlib.ExitStack() as stack:
            engine = stack.enter_context(machine(kind)) if kind != "process" else None
            url = engine.url if engine is not None else ""
            if engine is not None:
                images.ensure_image(kind, url=url)
            workspace = Workspace(tmp_path / "w", kind, url)
            if kind == "docker":
                workspace.settings["ADDRESS_POOL"] = ADDRESSES
            stack.callback(workspace.clean)
            yield Host(workspace, engine)
    except (engines.EngineMissing, images.ImageMissing) as error:
        pytest.skip(f"{kind}: {error}")


def test_after_a_reboot_jobs_go_on_as_their_policy_says(host: Host) -> None:
    workspace, flags = host.workspace, Flags(host.workspace)
    jobs = {kind: unique(kind) for kind in (*KINDS, "over")}
    retried = flags.runtime("retried", nodes=2, job={"backoffLimit": 3}, pod={"restartPolicy": "OnFailure"})
    gang = flags.runtime("gang", nodes=2, jobset={"failurePolicy": {"maxRestarts": 2}})
    workspace.write("rt.yaml", retried, gang, flags.runtime("final", nodes=2), flags.runtime("over"))
    for kind in KINDS:
        script = f"echo begun; {flags.note('$RANK $RECONCILER_ATTEMPT', kind)}{flags.wait()}echo through"
        workspace.write(f"{kind}.yaml", shell(jobs[kind], kind, script))
    workspace.write("over.yaml", shell(jobs["over"], "over", flags.note("ran", "over") + "echo done"))

    with workspace.daemon() as daemon:
        workspace.until_phase(jobs["over"], "Complete")
        for kind in KINDS:
            flags.until_noted(2, kind)
            workspace.until_phase(jobs[kind], "Running")
            eventually(lambda k=kind: workspace.log(jobs[k], 1) == "begun\n", "the log is kept")
        host.goes_down(daemon)
    host.comes_up()
    flags.raise_flag()

    with workspace.daemon():
        for kind, end in (("retried", "Complete"), ("gang", "Complete"), ("final", "Failed")):
            workspace.until_phase(jobs[kind], end, seconds=120)
        assert workspace.phase(jobs["over"]) == "Complete"
        if workspace.engine != "process":
            eventually(lambda: not workspace.containers(), "containers gone", seconds=30)

    assert sorted(flags.notes("retried")) == ["0 0", "0 0", "1 0", "1 0"]
    assert sorted(flags.notes("gang")) == ["0 0", "0 1", "1 0", "1 1"]
    assert sorted(flags.notes("final")) == ["0 0", "1 0"]
    assert flags.notes("over") == ["ran"]
    assert workspace.log(jobs["retried"], 1) == "begun\nbegun\nthrough\n"
    assert workspace.log(jobs["gang"], 1) == "begun\nthrough\n"
    assert workspace.log(jobs["final"], 1) == "begun\n"
    assert workspace.log(jobs["over"], 0) == "done\n"
