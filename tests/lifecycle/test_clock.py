"""A daemon whose clock somebody sets: hours ahead, then hours back. The engine's clock goes on as before."""

from __future__ import annotations

import pytest

from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import Daemon, Workspace, eventually, unique

pytestmark = pytest.mark.engine

#: Every reading of the wall clock in the daemon's process goes through this.
WRONG = """\
import pathlib, time
_right = time.time
time.time = lambda: _right() + float(pathlib.Path({by!r}).read_text())
"""


class Clock:
    """The wall clock of the daemon."""

    def __init__(self, workspace: Workspace) -> None:
        folder = workspace.root / "clock"
        folder.mkdir()
        self._by = folder / "by"
        (folder / "sitecustomize.py").write_text(WRONG.format(by=str(self._by)))
        workspace.prefix = ("env", f"PYTHONPATH={folder}")
        self._put(0)
        self._times = 0

    def _put(self, by: float) -> None:
        part = self._by.with_suffix(".part")
        part.write_text(str(by))
        part.rename(self._by)

    def set(self, by: float, daemon: Daemon) -> None:
        """Off by so many seconds; returns when the daemon has noticed."""
        self._put(by)
        self._times += 1
        eventually(lambda: daemon.text().count("clock changed") >= self._times, "the daemon notices")


def test_jobs_go_on_when_the_clock_is_set(processes: Workspace) -> None:
    limited, retried, late, gone = (unique(n) for n in ("limited", "retried", "late", "gone"))
    flags, clock = Flags(processes), Clock(processes)
    patient = flags.runtime("patient", job={"backoffLimit": 3}, pod={"restartPolicy": "OnFailure"})
    processes.write("rt.yaml", flags.runtime(), patient)
    deadline = shell(limited, "rt", flags.note("ran", "limited") + flags.wait())
    deadline["spec"]["activeDeadlineSeconds"] = 3600
    processes.write("limited.yaml", deadline)
    processes.write("gone.yaml", shell(gone, "rt", flags.wait()))
    with processes.daemon() as daemon:
        processes.until_phase(limited, "Running")
        processes.until_phase(gone, "Running")
        script = flags.once("exit 1") + flags.note("went on", "retried")
        processes.write("retried.yaml", shell(retried, "patient", script))
        processes.until_phase(retried, "Restarting")

        clock.set(7200, daemon)
        clock.set(-7200, daemon)

        # Its back-off was ten seconds, and is not two hours more now.
        processes.until_phase(retried, "Complete")
        (processes.specs / "gone.yaml").unlink()
        processes.write("late.yaml", shell(late, "rt", flags.note("ran", "late")))
        processes.until_phase(late, "Complete")
        eventually(lambda: not processes.phase(gone), "a removed job is gone")
        assert processes.phase(limited) == "Running"
        flags.raise_flag()
        processes.until_phase(limited, "Complete")

    assert flags.notes("limited") == ["ran"]
    assert flags.notes("retried") == ["went on"]
