"""The locks that keep a folder, an instance and their state to one daemon."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from reconciler.errors import StateError
from reconciler.state.locks import describe_holder, lock_file, lock_folder, lock_instance

linux = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux'")
HOLD = (
    "import sys\nfrom reconciler.state.locks import lock_instance\n"
    "with lock_instance(sys.argv[1]): print(flush=True); sys.stdin.read()"
)


def test_a_second_process_is_refused_with_the_holder_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib\n"
        "from reconciler.errors import StateError\n"
        "from reconciler.state.locks import lock_file\n"
        "try:\n"
        "    with lock_file(pathlib.Path(sys.argv[1]), command='second'): print('taken')\n"
        "except StateError as e: print(e)\n"
    )

    def second() -> str:
        command = [sys.executable, "-c", program, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    with lock_file(path, command="reconciler run --specs x"):
        refused = second()
    allowed = second()

    assert f"pid {os.getpid()}" in refused
    assert re.search(r'"reconciler run --specs x", since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00', refused)
    assert str(path) in refused
    assert allowed == "taken\n"


def test_a_lock_is_free_again_once_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock_file(path, command="a"):
        pass

    with lock_file(path, command="b"):
        assert '"b"' in describe_holder(path)
    assert path.read_text() == ""


def test_a_folder_is_locked_whatever_the_state_folder(tmp_path: Path) -> None:
    taken = pytest.raises(StateError, match="Another daemon works on the folder")
    with lock_folder(tmp_path), taken, lock_folder(tmp_path):
        pass

    with lock_folder(tmp_path):
        pass


def test_a_folder_that_is_not_there_has_no_lock(tmp_path: Path) -> None:
    with lock_folder(tmp_path / "absent"):
        pass


@pytest.fixture
def instance() -> str:
    return f"test-{uuid4().hex}"


@linux
def test_a_second_daemon_of_an_instance_is_refused_with_the_holder_until_that_one_ends(instance: str) -> None:
    command = [sys.executable, "-c", HOLD, instance]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        for _ in range(3):
            with pytest.raises(StateError) as refused, lock_instance(instance):
                pass
        first.kill()

    assert f"instance {instance} already (pid {first.pid}, " in str(refused.value)
    assert "--instance" in refused.value.remedy
    with lock_instance(instance):
        pass


@linux
def test_other_instances_and_a_released_one_are_free(instance: str) -> None:
    with lock_instance(instance), lock_instance(f"{instance}-2"):
        pass

    with lock_instance(instance):
        pass


@linux
@pytest.mark.skipif(os.getuid() != 0, reason="needs another user")
def test_another_users_socket_of_that_name_is_ignored(instance: str, tmp_path: Path) -> None:
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

        with lock_instance(instance):
            pass
        squatter.kill()
