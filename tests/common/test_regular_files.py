"""Reading of files that others may have put there, and that no module reads them in another way."""

from __future__ import annotations

import ast
import os
import socket
from pathlib import Path

import pytest

import reconciler
from reconciler.common.regular_files import (
    UnfitFileError,
    open_regular_stream,
    read_regular_file,
    read_regular_text,
)

PACKAGE = Path(reconciler.__file__).parent

#: Modules that read by themselves, and what they read.
OWN_READS = {
    "cli/commands/systemd.py": "units in the service manager's folder",
    "cli/machine.py": "/proc and /sys",
    "cli/main.py": "/dev/null",
    "cli/manifest_arguments.py": "pipes that the user named",
    "cli/standard_streams.py": "the null device",
    "cli/service/unit_files.py": "units of this package",
    "common/host_looks.py": "/proc",
    "common/regular_files.py": "all others",
    "controller/clock.py": "/proc",
    "controller/daemon/signals.py": "/proc",
    "controller/enforcement/path_pinning.py": "paths, opened with O_PATH; folders made",
    "controller/nodeservices/logs/log_files.py": "opens logs to write them, and checks what it has opened",
    "controller/nodeservices/progress/token_renewal.py": "writes a new file",
    "engines/host/file_watch.py": "inotify",
    "engines/host/host_devices.py": "/sys",
    "engines/host/oom_kills.py": "/dev/kmsg",
    "engines/host/socket_owner.py": "/proc",
    "engines/host/sub_paths.py": "folders",
    "engines/host/subnet_pool.py": "/proc",
    "engines/podman/podman_engine.py": "the engine's own file",
    "engines/podman/podman_logs.py": "the engine's own files",
    "engines/podman/rootless_limits.py": "/proc",
    "engines/process/host_facts.py": "programs of the engine's own",
    "engines/process/launch_spec.py": "/etc/hosts and /etc/resolv.conf",
    "engines/process/streams/process_events.py": "a pipe of the engine's own",
    "engines/process/streams/process_logs.py": "the engine's own files",
    "engines/process/state_folder.py": "a lock",
    "engines/process/supervisor/": "its own folder, /proc and cgroups, without this package",
    "engines/process/supervisor_launch.py": "writes a log",
    "server/namespace_socket.py": "/proc",
    "server/network_namespaces.py": "a pipe of its own",
    "sources/runtimes/builtin_runtimes.py": "files of this package",
    "state/atomic_files.py": "writes new files, syncs folders",
    "state/locks.py": "locks",
}  # fmt: skip


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def refusal(path: Path | str, **options: bool) -> str:
    with pytest.raises(UnfitFileError) as caught:
        read_regular_file(path, limit=1000, **options)
    return str(caught.value.strerror)


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)

    assert read_regular_file(path, limit=1000) == b"x" * 1000


def test_text_has_line_ends_as_python_has_them(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes("a\r\nß\rc\n".encode())

    assert read_regular_text(path) == "a\nß\nc\n"


def test_what_is_no_file_is_refused_by_its_name_without_waiting(tmp_path: Path, fifo: Path) -> None:
    folder, link, sock = tmp_path / "folder", tmp_path / "link", tmp_path / "socket"
    folder.mkdir()
    link.symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(sock))

        assert refusal(fifo) == "it is a named pipe, not a file"
        assert refusal(sock) == "it is a socket, not a file"
        assert refusal(link) == refusal("/dev/zero") == "it is a device, not a file"
        assert refusal(folder) == "it is a folder, not a file"


def test_a_link_is_refused_where_none_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")

    assert read_regular_file(tmp_path / "link", limit=10) == b"x"
    assert refusal(tmp_path / "link", follow_links=False) == "it is a link, not a file"


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/environ", "/proc/kallsyms"])
def test_what_the_kernel_makes_up_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)

    assert refusal(tmp_path / "link") == "it is made up by the kernel (/proc), not a file"


@pytest.mark.parametrize("size", [1001, 200_000_000, 20_000_000_000])
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, size: int) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(size)

    assert refusal(path) == f"it has {size:,} bytes, more than 1,000"


def test_a_file_that_grows_while_it_is_read_is_limited_too() -> None:
    # Files of /sys say 4096 bytes, whatever is in them; this one says more than it has.
    with pytest.raises(OSError, match="more than 3"):
        read_regular_file("/sys/kernel/mm/transparent_hugepage/enabled", limit=3)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular_stream(tmp_path / "none")


def test_every_module_reads_through_this_one() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if any(name == own or (own.endswith("/") and name.startswith(own)) for own in OWN_READS):
            continue
        found |= {f"{name}:{line}" for line in _own_reads(path)}

    assert not found, "read these with reconciler.common.regular_files, or say above what they read"


def _own_reads(path: Path) -> list[int]:
    """Lines that open a file by a path, or read one whole."""
    lines = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Attribute(attr="read_text" | "read_bytes"):
                lines.append(node.lineno)
            case ast.Attribute(attr="open") if not node.args or isinstance(node.args[0], ast.Constant):
                lines.append(node.lineno)
            case ast.Attribute(value=ast.Name(id="os"), attr="open") | ast.Name(id="open"):
                lines.append(node.lineno)
    return lines
