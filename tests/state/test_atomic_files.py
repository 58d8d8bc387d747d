"""A file is written whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

from reconciler.errors import StateError
from reconciler.sources.folder.manifest_files import is_manifest_name
from reconciler.state.atomic_files import TEMPORARY_PREFIX, read_if_exists, remove_if_exists, write_atomically


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


def test_a_full_disk_is_reported_with_a_remedy():
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


def test_a_missing_file_reads_as_none_and_an_unreadable_one_is_an_error(tmp_path):
    assert read_if_exists(tmp_path / "none") is None
    assert read_if_exists(tmp_path / "none" / "below") is None
    with pytest.raises(StateError, match="Cannot read"):
        read_if_exists(tmp_path)


def test_removing_a_missing_file_is_no_error(tmp_path):
    path = tmp_path / "x"
    path.write_text("x")

    remove_if_exists(path)
    remove_if_exists(path)
    remove_if_exists(path / "below")

    assert not path.exists()


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("name", ["x" * 255, "\N{GRINNING FACE}" * 63], ids=["letters", "four bytes each"])
def test_a_file_of_any_name_that_is_possible_can_be_written(tmp_path, name, new):
    path = tmp_path / name

    write_atomically(path, b"text", new=new)

    assert path.read_bytes() == b"text"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the longest path differs")
def test_a_file_of_the_longest_path_that_is_possible_can_be_written(tmp_path):
    left = 4095 - len(os.fsencode(tmp_path)) - len("/x")
    folder = tmp_path
    while left > 0:
        part = "d" * (left - 1 if left <= 256 else min(200, left - 3))
        folder /= part
        left -= len(part) + 1
    path = folder / "x"
    assert len(os.fsencode(path)) == 4095

    write_atomically(path, b"text")

    assert path.read_bytes() == b"text"
    assert len(list(folder.iterdir())) == 1
