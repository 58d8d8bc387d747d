"""What a container is given before it is told to stop."""

from __future__ import annotations

import pytest

from tests.support.flags import Flags
from tests.support.manifests import shell
from tests.support.workspaces import Workspace, eventually, unique

#: Shell: milliseconds since the epoch.
NOW = "$(date +%s%3N)"


@pytest.mark.engine
def test_a_sleep_before_the_stop_is_waited_for(processes: Workspace) -> None:
    job = unique("sleep")
    flags = Flags(processes)
    hook = {"lifecycle": {"preStop": {"sleep": {"seconds": 2}}}}
    script = (
        f"trap 'echo $(({NOW} - asked)); exit 0' TERM; while [ ! -e {flags.inside}/go ]; do sleep 0.05; done; "
        f"asked={NOW}; touch {flags.inside}/ready; while :; do sleep 0.05; done"
    )
    processes.write("j.yaml", flags.runtime(container=hook), shell(job, "rt", script))
    with processes.daemon():
        processes.until_phase(job, "Running")
        flags.raise_flag()
        eventually((flags.folder / "ready").exists, "the script notes the time")

        assert processes.cli("suspend", job).returncode == 0

        said = eventually(lambda: processes.log(job, 0).split()[-1:], "it is told to stop")
        assert int(said[0]) >= 2000
