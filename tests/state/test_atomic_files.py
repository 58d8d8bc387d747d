"""Atomic files and the folder lock."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import StateError
from reconciler.sources.folder.manifest_files import is_manifest_name
from reconciler.state.atomic_files import (
    TEMPORARY_PREFIX,
    FileLock,
    FolderLock,
    read_if_exists,
    remove_if_exists,
    write_atomically,
)


def test_a_file_is_written_whole_with_its_mode_and_folders(tmp_path):
    path = tmp_path / "a" / "b" / "x.status.yaml"

    write_atomically(path, b"one\n", mode=0o640)
    write_atomically(path, b"two\n", mode=0o640)

    assert path.read_bytes() == b"two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["x.status.yaml"]


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "taken"
    path.mkdir()
    (path / "inside").write_text("kept")

    with pytest.raises(StateError) as caught:
        write_atomically(path, b"new")

    assert f"Cannot write {path}" in str(caught.value)
    assert (path / "inside").read_text() == "kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]


def test_a_new_file_takes_no_name_that_is_in_use(tmp_path):
    path = tmp_path / "a.yaml"
    write_atomically(path, b"first", new=True)

    with pytest.raises(StateError) as caught:
        write_atomically(path, b"second", new=True)

    assert isinstance(caught.value.__cause__, FileExistsError)
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["a.yaml"]
    assert path.stat().st_nlink == 1


def test_a_full_disk_is_said_in_a_sentence_with_a_remedy():
    """/dev/full answers every write with ENOSPC, but cannot be renamed onto: use a full tmpfs instead."""
    if os.getuid() != 0:
        pytest.skip("mounting a small file system needs root")
    script = (
        "set -e; d=$(mktemp -d); mount -t tmpfs -o size=64k none $d; "
        'head -c 60000 /dev/zero > $d/filler; exec "$0" -c "$1" $d'
    )
    program = (
        "import sys, pathlib\n"
        "from reconciler.errors import StateError\n"
        "from reconciler.state.atomic_files import write_atomically\n"
        "d = pathlib.Path(sys.argv[1]); (d / 'x').write_text('old')\n"
        "try: write_atomically(d / 'x', b'n' * 65536)\n"
        "except StateError as e: print(e)\n"
        "print((d / 'x').read_text(), sorted(p.name for p in d.iterdir()))\n"
    )
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, sys.executable, program],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")

    assert "No space left on device" in done.stdout
    assert "Free space on that file system" in done.stdout
    assert done.stdout.splitlines()[-1] == "old ['filler', 'x']"


def test_temporary_files_are_no_manifests():
    assert not is_manifest_name(f"{TEMPORARY_PREFIX}job.yaml-1a2b.tmp")


def test_reading_what_is_not_there_gives_none_and_what_cannot_be_read_an_error(tmp_path):
    assert read_if_exists(tmp_path / "none") is None
    assert read_if_exists(tmp_path / "none" / "below") is None
    with pytest.raises(StateError, match="Cannot read"):
        read_if_exists(tmp_path)


def test_removing_what_is_not_there_is_no_error(tmp_path):
    path = tmp_path / "x"
    path.write_text("x")

    remove_if_exists(path)
    remove_if_exists(path)
    remove_if_exists(path / "below")

    assert not path.exists()


def test_a_lock_tells_a_second_process_who_holds_it(tmp_path):
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib\n"
        "from reconciler.errors import StateError\n"
        "from reconciler.state.atomic_files import FileLock\n"
        "try: FileLock(pathlib.Path(sys.argv[1])).acquire(command='second', since='later')\n"
        "except StateError as e: print(e)\n"
        "else: print('taken')\n"
    )

    def second() -> str:
        command = [sys.executable, "-c", program, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    with FileLock(path).acquire(command="reconciler run --specs x", since="2026-01-01T00:00:00Z"):
        refused = second()
    allowed = second()

    assert f"pid {os.getpid()}" in refused
    assert '"reconciler run --specs x", since 2026-01-01T00:00:00Z' in refused
    assert str(path) in refused
    assert allowed == "taken\n"


def test_a_lock_is_free_again_once_released(tmp_path):
    lock = FileLock(tmp_path / "lock").acquire(command="a", since="now")
    lock.release()
    lock.release()

    with FileLock(tmp_path / "lock").acquire(command="b", since="now") as again:
        assert '"b"' in again.holder()
    assert Path(tmp_path / "lock").read_text() == ""


def test_a_folder_is_locked_whatever_the_state_folder(tmp_path: Path) -> None:
    held = FolderLock(tmp_path).acquire()

    with pytest.raises(StateError, match="Another daemon works on the folder"):
        FolderLock(tmp_path).acquire()

    held.release()
    FolderLock(tmp_path).acquire().release()


def test_a_folder_that_is_not_there_has_no_lock(tmp_path: Path) -> None:
    FolderLock(tmp_path / "absent").acquire().release()
