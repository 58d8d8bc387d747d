"""What this machine has: CPUs, memory, GPUs, and the environment of its programs."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.engines.host.host_devices import AMD, NVIDIA, amd_gpus, nvidia_gpus

#: Variables that tell a program which devices it may use.
VISIBLE: Final = {NVIDIA: "CUDA_VISIBLE_DEVICES", AMD: "HIP_VISIBLE_DEVICES"}
#: Variables of the daemon that a container inherits: those that programs need to work as they do for the
#: user. The rest (tokens, passwords) stays with the daemon.
_INHERITED: Final = (
    "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
#: Programs that stand for the daemon's interpreter, with the arguments they give it.
_SHIMS: Final = {
    "python": (),
    "python3": (),
    "pip": ("-m", "pip"),
    "torchrun": ("-m", "torch.distributed.run"),
}


@dataclass(frozen=True, kw_only=True)
class HostFeatures:
    """What the kernel lets this user do.

    Attributes:
        can_mount: give containers mount namespaces.
        any_loopback: give containers loopback addresses of their own.
        controllers: create control groups; the result of ``cgroup_limits.find_controllers``.
    """

    can_mount: bool
    any_loopback: bool
    controllers: Mapping[str, str]


def cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def memory() -> int:
    """Returns the bytes of memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def find_devices() -> Mapping[str, tuple[str, ...]]:
    """Returns the GPUs by class and index."""
    found = {NVIDIA: nvidia_gpus(), AMD: amd_gpus()}
    return {name: indexes for name, indexes in found.items() if indexes}


def write_shims(folder: Path) -> None:
    """Writes programs ``python``, ``pip`` and ``torchrun`` for an interpreter whose folder lacks them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in _SHIMS.items():
        text = "#!/bin/sh\n" + shlex.join(["exec", sys.executable, *arguments]) + ' "$@"\n'
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            temporary = folder / f".{name}.{os.urandom(4).hex()}"  # other engines may write it, too
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o755)
            temporary.rename(path)


def base_environment(shims: Path) -> dict[str, str]:
    """Returns the variables that every container has."""
    base = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    base.setdefault("HOME", str(Path.home()))
    base.setdefault("LANG", "C.UTF-8")
    # The interpreter's folder, the shims for what it lacks, the daemon's own.
    rest = os.environ.get("PATH") or "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    return {**base, "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(shims), rest])}
