"""One daemon of a user for an instance, whatever their state folders."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from reconciler.errors import StateError
from reconciler.state.instance_lock import InstanceLock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux'")
HOLD = (
    "import sys; from reconciler.state.instance_lock import InstanceLock; "
    "lock = InstanceLock(sys.argv[1]).acquire(); print(flush=True); sys.stdin.read()"
)


@pytest.fixture
def instance() -> str:
    return f"test-{uuid4().hex}"


def test_who_comes_second_is_told_who_has_it_until_that_one_ends(instance: str) -> None:
    command = [sys.executable, "-c", HOLD, instance]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        for _ in range(3):
            with pytest.raises(StateError) as refused:
                InstanceLock(instance).acquire()
        first.kill()

    assert f"instance {instance} already (pid {first.pid}, " in str(refused.value)
    assert "--instance" in refused.value.remedy
    InstanceLock(instance).acquire().release()


def test_other_instances_and_a_released_one_are_free(instance: str) -> None:
    held = InstanceLock(instance).acquire()
    InstanceLock(f"{instance}-2").acquire().release()
    held.release()
    held.release()

    InstanceLock(instance).acquire().release()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_another_users_squatting_keeps_nobody_out(instance: str, tmp_path: Path) -> None:
    name = f"\\0reconciler.trainer.kubeflow.org/0/{instance}"
    script = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.bind('{name}'); s.listen(1); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-I", "-S", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as squatter:
        assert squatter.stdout is not None
        assert squatter.stdout.readline()
        with pytest.raises(OSError, match="in use"), socket.socket(socket.AF_UNIX) as one:
            one.bind(name.encode().decode("unicode_escape"))

        InstanceLock(instance).acquire().release()
        squatter.kill()
