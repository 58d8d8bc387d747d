"""A machine of one test's own, whose power can be cut: an engine in namespaces that die together.

The engine, its helpers and all of its containers are one tree of processes (a PID namespace), with a network, a
``/run`` and a ``/dev/shm`` of their own: killing the first of them ends everything at once and forgets what a
host forgets. What is on the disk stays. What can go wrong: as for :mod:`tests.support.private_engines`; and
cgroups outlive their namespace, so empty ones are removed by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker

from tests.support import engines
from tests.support.private_engines import ADDRESSES, PrivateEngine, _children, private_engine

BOOT_ID = "/proc/sys/kernel/random/boot_id"
ALONE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
SETUP = (
    "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && mkdir -p /run/netns && ip link set lo up && "
    'exec "$0" "$@"'
)


@dataclass
class Machine(PrivateEngine):
    """An engine that is all of its machine."""

    containers: set[str] = field(default_factory=set)

    def cut_the_power(self) -> None:
        """Everything that runs ends in the same moment, and nobody writes anything down."""
        assert self.process is not None
        with contextlib.suppress(Exception), contextlib.closing(docker.DockerClient(self.url)) as client:
            self.containers |= {found["Id"] for found in client.api.containers(all=True)}
        cut_the_power(self.process)

    def stop(self) -> None:
        """There is nothing to be kept."""
        if self.process is not None and self.process.poll() is None:
            self.cut_the_power()

    def sweep(self) -> None:
        """What is left of its containers' cgroups."""
        # Other tests' cgroups come and go during the walk: os.walk passes over them, Path.glob raises.
        for place, _, _ in os.walk("/sys/fs/cgroup", topdown=False):
            if place.endswith(tuple(self.containers)):
                with contextlib.suppress(OSError):
                    Path(place).rmdir()

    def _command(self, executable: str) -> tuple[str, ...]:
        if self.kind == "podman":
            store = ("--root", str(self.store), "--runroot", "/run/store", "--tmpdir", "/run/libpod")
            own = (executable, *store, "system", "service", "--time=0", self.url)
        else:
            own = (
                executable,
                f"--host={self.url}",
                f"--data-root={self.store}",
                "--exec-root=/run/d",
                "--pidfile=/run/d.pid",
                "--iptables=false",
                "--ip-masq=false",
                f"--default-address-pool=base={ADDRESSES},size=28",
            )
        return (*ALONE, "sh", "-c", SETUP, *own)

    def _environment(self) -> dict[str, str]:
        environment = super()._environment()
        if self.kind == "podman":
            networks = self.store / "networks.d"
            networks.mkdir(exist_ok=True)
            conf = self.folder / "containers.conf"
            conf.write_text(
                f"{engines.CONTAINERS_CONF}[network]\nnetwork_config_dir = {json.dumps(str(networks))}\n"
            )
            environment["CONTAINERS_CONF"] = str(conf)
        return environment


def cut_the_power(process: subprocess.Popen[bytes]) -> None:
    """End a command that was started as :data:`ALONE`, with all it has started."""
    for first in _children(process.pid):
        # The kernel ends all others of the namespace before it lets the first one go.
        os.kill(first, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def machine(kind: str) -> Iterator[Machine]:
    """A running machine for the length of a ``with`` block.

    Raises:
        EngineMissing: it cannot be had here.
    """
    if os.getuid() != 0 or shutil.which("unshare") is None:
        raise engines.EngineMissing("only root can make a machine out of namespaces (unshare)")
    with private_engine(kind, Machine) as made:
        yield made


def booted(folder: Path, *, alone: bool = False) -> tuple[str, ...]:
    """What to put before a command that shall take the host for started anew.

    Args:
        folder: for a file.
        alone: the command and all it starts end with it.
    """
    name = folder / f"boot-{uuid.uuid4().hex[:6]}"
    name.write_text(f"{uuid.uuid4()}\n")
    script = f'mount --bind {name} {BOOT_ID} && exec "$0" "$@"'
    return (*(ALONE[:1] + ALONE[2:] if alone else ("unshare", "--mount")), "sh", "-c", script)
