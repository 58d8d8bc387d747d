"""What the machine offers: CPUs, memory, GPUs, its programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

NVIDIA: Final = "nvidia.com/gpu"
AMD: Final = "amd.com/gpu"
#: Variables by which a program is told the devices it may use.
VISIBLE: Final = {NVIDIA: "CUDA_VISIBLE_DEVICES", AMD: "HIP_VISIBLE_DEVICES"}
_AMD_VENDOR: Final = "0x1002"
#: Variables of the daemon that every program on this machine needs to work as it does for its user. The rest
#: (tokens, passwords) stays with the daemon.
INHERITED: Final = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
#: Programs that mean the interpreter the daemon runs with, by what they run.
_SHIMS: Final = {
    "python": (),
    "python3": (),
    "pip": ("-m", "pip"),
    "torchrun": ("-m", "torch.distributed.run"),
}


def cpus() -> int:
    """CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def devices() -> Mapping[str, tuple[str, ...]]:
    """GPUs by class and index."""
    found = {NVIDIA: _nvidia(), AMD: _amd()}
    return {name: indexes for name, indexes in found.items() if indexes}


def _nvidia() -> tuple[str, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        done = subprocess.run(
            [program, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return ()  # the driver does not answer: no device can be used
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip().isdigit())


def _amd() -> tuple[str, ...]:
    if not Path("/dev/kfd").exists():
        return ()
    nodes = sorted(Path("/sys/class/drm").glob("renderD*/device/vendor"))
    count = sum(node.read_text(encoding="ascii").strip() == _AMD_VENDOR for node in nodes)
    return tuple(str(index) for index in range(count))


def write_shims(folder: Path) -> None:
    """Make ``python``, ``pip`` and ``torchrun`` programs for an interpreter whose folder lacks them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in _SHIMS.items():
        text = "#!/bin/sh\n" + " ".join(["exec", _quoted(sys.executable), *arguments]) + ' "$@"\n'
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            temporary = folder / f".{name}.{os.getpid()}"
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
            temporary.rename(path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def search_path(shims: Path) -> str:
    """``PATH`` of a container: the daemon's interpreter first, shims for what it lacks, then the host's."""
    own = str(Path(sys.executable).parent)
    rest = os.environ.get("PATH") or "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    return os.pathsep.join([own, str(shims), rest])


def environment(shims: Path) -> dict[str, str]:
    """What every container's environment begins with."""
    base = {name: os.environ[name] for name in INHERITED if name in os.environ}
    base.setdefault("HOME", str(Path.home()))
    base.setdefault("LANG", "C.UTF-8")
    return {**base, "PATH": search_path(shims)}
