"""Images that tests run: Debian with Python, with OpenMPI, and PyTorch beside them.

No registry is needed: ``debootstrap`` makes the root file system, and it is imported into each engine's
store under ``localhost/reconciler-test:<name>``. What is made is kept under ``~/.cache/reconciler-test``,
its name carrying a hash of what it was made from, so a changed recipe makes it anew and an unchanged one
costs a look. PyTorch (1 GB unpacked) is installed once into a folder and mounted read-only at ``/opt/site``
instead of being copied into two image stores.

Importable without pytest; ``python -m tests.support.images [NAME...]`` makes and loads all. What can go
wrong: no debootstrap, no root, no network the first time; then :class:`ImageMissing` says which.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from tests.support import engines, torch_site

CACHE_DIR = engines.CACHE_DIR
REPOSITORY = "localhost/reconciler-test"
KEY_LABEL = "reconciler-test-key"
SUITE = "bookworm"
SITE = "/opt/site"

_BASE = ("python3", "libgomp1", "procps", "iputils-ping")
PACKAGES = {
    "base": _BASE,
    "mpi": (*_BASE, "openmpi-bin", "openssh-server", "openssh-client", "python3-mpi4py"),
    "systemd": (*_BASE, "systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd"),
}

#: Written into every image. Upstream's images have `python` and `torchrun` on the PATH.
COMMON_SETUP = r"""
ln -sf python3 /usr/bin/python
printf '#!/bin/sh\nexec python3 -m torch.distributed.run "$@"\n' > /usr/local/bin/torchrun
chmod 755 /usr/local/bin/torchrun
rm -rf /var/cache/apt/* /var/lib/apt/lists/* /var/log/* /debootstrap /usr/share/doc/* /usr/share/man/* \
  /usr/share/info/* /usr/share/locale/* /etc/resolv.conf /etc/hostname
"""

#: As upstream's mpi and deepspeed images have it: user mpiuser (1000), an sshd that needs no root, port 2222,
#: keys mounted at ~/.ssh. StrictModes is off because the mounted folder belongs to root.
MPI_SETUP = r"""
useradd --create-home --uid 1000 --shell /bin/bash mpiuser
mkdir -p /run/sshd
cd /home/mpiuser
cat > .sshd_config <<'CONFIG'
Port 2222
PidFile /home/mpiuser/sshd.pid
HostKey /home/mpiuser/.ssh/id_rsa
AuthorizedKeysFile /home/mpiuser/.ssh/authorized_keys
PasswordAuthentication no
UsePAM no
StrictModes no
PermitUserEnvironment yes
CONFIG
cat > /etc/ssh/ssh_config.d/mpi.conf <<'CONFIG'
Host *
  Port 2222
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
CONFIG
chown -R 1000:1000 /home/mpiuser
rm -f /etc/ssh/ssh_host_*
"""

#: A whole Debian for user services. Journals are kept: `journalctl --user` reads no others.
SYSTEMD_SETUP = (
    COMMON_SETUP
    + r"""
useradd --create-home --uid 1000 --shell /bin/bash u
mkdir -p /var/log/journal
: > /etc/machine-id
"""
)

SETUP = {"base": COMMON_SETUP, "mpi": MPI_SETUP + COMMON_SETUP, "systemd": SYSTEMD_SETUP}

CHANGES = (
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    f"ENV PYTHONPATH={SITE}",
    "ENV PYTHONDONTWRITEBYTECODE=1",
    'CMD ["python3"]',
)


class ImageMissing(Exception):  # noqa: N818  (a state of the world, not a mistake)
    """The image can't be made on this machine; the message says why."""


def reference(name: str = "base") -> str:
    """Name of an image on the engine."""
    return f"{REPOSITORY}:{name}"


def key(name: str) -> str:
    """What the image's contents depend on, as a short hash."""
    inputs = json.dumps([SUITE, PACKAGES[name], SETUP[name], CHANGES])
    return hashlib.sha256(inputs.encode()).hexdigest()[:12]


def names_for(kind: str) -> list[str]:
    """The images that tests on an engine use: machines are booted in Podman only."""
    return [name for name in PACKAGES if name != "systemd" or kind == "podman"]


def ensure_image(kind: str, name: str = "base", *, url: str | None = None) -> str:
    """Have an image in an engine's store; returns its reference.

    Args:
        kind: ``podman`` or ``docker``.
        name: ``base``, ``mpi`` or ``systemd``.
        url: ``unix://`` socket of the engine; the one that :mod:`tests.support.engines` finds or starts.

    Raises:
        ImageMissing: it is not there and can't be made.
        engines.EngineMissing: no engine.
    """
    url = url or engines.ensure_engine(kind)
    if _loaded_key(url, name) == key(name):
        return reference(name)
    archive = ensure_archive(name)
    with _locked(f"load-{kind}-{name}.lock"):
        if _loaded_key(url, name) != key(name):
            _import(kind, url, name, archive, key(name))
    return reference(name)


def ensure_archive(name: str) -> Path:
    """The image's root file system as a tar file, made unless it is in the cache.

    Raises:
        ImageMissing: debootstrap is missing or failed.
    """
    archive = CACHE_DIR / f"{name}-{key(name)}.tar"
    if archive.exists():
        return archive
    with _locked(f"build-{name}.lock"):
        if not archive.exists():
            _build(name, archive)
            for stale in CACHE_DIR.glob(f"{name}-*.tar"):
                if stale != archive:
                    stale.unlink()
    return archive


def ensure_site() -> Path:
    """Folder with PyTorch, numpy and scikit-learn for the image's Python 3.11, made unless cached.

    Raises:
        ImageMissing: pip could not get them.
    """
    try:
        return torch_site.ensure_site(CACHE_DIR)
    except torch_site.SiteMissing as error:
        raise ImageMissing(str(error)) from error


def ensure_torch_image(kind: str, *, url: str) -> str:
    """The base image with PyTorch copied in, for those who can't mount it (a benchmark's peer); 1.1 GB.

    Raises:
        ImageMissing: it is not there and can't be made.
    """
    base, site = ensure_archive("base"), ensure_site()
    wanted = hashlib.sha256(f"{base.name} {site.name}".encode()).hexdigest()[:12]
    if _loaded_key(url, "torch") == wanted:
        return reference("torch")
    with _locked(f"load-{kind}-torch.lock"), tempfile.TemporaryDirectory(dir=CACHE_DIR) as scratch:
        archive = Path(scratch) / "torch.tar"
        shutil.copyfile(base, archive)
        log = CACHE_DIR / "build-torch.log"
        append = (
            "tar", "--append", "--file", str(archive), "--directory", str(site), "--owner=0", "--group=0",
            f"--transform=s,^\\.,.{SITE},", ".",
        )  # fmt: skip
        with log.open("wb") as output:
            _run(
                append, output=output, log=log, what="the image with PyTorch", path=os.environ.get("PATH", "")
            )
        _import(kind, url, "torch", archive, wanted)
    return reference("torch")


def torch_patch(site: Path, *, step: str = "node", image: str | None = None) -> dict[str, object]:
    """Runtime template fields that make a step run PyTorch in the test image.

    Returns a ``replicatedJobs`` entry's pod spec: image, volume, mount and environment; for a runtime
    document of a test, see :func:`torch_runtime`.
    """
    return {
        "volumes": [{"name": "site", "hostPath": {"path": str(site), "type": "Directory"}}],
        "containers": [
            {
                "name": step,
                "image": image or reference("base"),
                "env": [
                    {"name": "PYTHONPATH", "value": SITE},
                    {"name": "OMP_NUM_THREADS", "value": "1"},
                ],
                "volumeMounts": [{"name": "site", "mountPath": SITE, "readOnly": True}],
            }
        ],
    }


def torch_runtime(site: Path, *, name: str = "torch-distributed", nodes: int = 1) -> dict[str, object]:
    """A ClusterTrainingRuntime like upstream's ``torch-distributed``, of the test image and ``site``."""
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": name, "labels": {"trainer.kubeflow.org/framework": "torch"}},
        "spec": {
            "mlPolicy": {"numNodes": nodes, "torch": {}},
            "template": {
                "spec": {
                    "replicatedJobs": [
                        {
                            "name": "node",
                            "template": {
                                "metadata": {
                                    "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
                                },
                                "spec": {"template": {"spec": torch_patch(site)}},
                            },
                        }
                    ]
                }
            },
        },
    }


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    CACHE_DIR.mkdir(parents=True, exist_ok=True)
    with (CACHE_DIR / name).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(name: str, archive: Path) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    if shutil.which("debootstrap", path=path) is None:
        raise ImageMissing("debootstrap is not installed, so the test image can't be made")
    as_root: tuple[str, ...] = ()
    if os.getuid() != 0:
        if shutil.which("sudo") is None:
            raise ImageMissing("making the test image takes root: debootstrap changes root into it")
        as_root = ("sudo", "-n", "env", f"PATH={path}")
    debs = CACHE_DIR / "debs"
    debs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=CACHE_DIR) as scratch:
        root = Path(scratch) / "root"
        log = CACHE_DIR / f"build-{name}.log"
        mirror = [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
        steps = (
            (
                *as_root, "debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES[name])}",
                f"--cache-dir={debs}", SUITE, str(root), *mirror,
            ),
            (*as_root, "chroot", str(root), "/bin/sh", "-ec", SETUP[name]),
            # The device nodes stay out: an engine brings its own, and an unprivileged import can't make them.
            (
                *as_root, "tar", "--create", "--file", f"{archive}.part", "--directory", str(root),
                "--numeric-owner", "--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", ".",
            ),
            (*as_root, "rm", "-rf", str(root)),
        )  # fmt: skip
        with log.open("wb") as output:
            for step in steps:
                _run(step, output=output, log=log, what=f"the test image {name!r}", path=path)
    Path(f"{archive}.part").rename(archive)


def _run(step: tuple[str, ...], *, output: object, log: Path, what: str, path: str) -> None:
    done = subprocess.run(
        step,
        stdin=subprocess.DEVNULL,
        stdout=output,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
        check=False,
    )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise ImageMissing(f"{what} can't be made ({log}):\n{tail}")


def _request(url: str, method: str, path: str, body: Path | None = None) -> tuple[int, bytes]:
    """One call of the Docker API, which Podman answers as well."""
    connection = engines._UnixConnection(url.removeprefix("unix://"))
    connection.timeout = 300
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(body.open("rb")) if body else None
            headers = {"Content-Type": "application/x-tar"} if body else {}
            if body:
                headers["Content-Length"] = str(body.stat().st_size)
            connection.request(method, path, body=stream, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
    finally:
        connection.close()


def _loaded_key(url: str, name: str) -> str:
    try:
        status, body = _request(url, "GET", f"/images/{reference(name)}/json")
    except (OSError, http.client.HTTPException) as error:
        raise ImageMissing(f"the engine at {url} does not answer: {error}") from error
    if status != 200:
        return ""
    labels = json.loads(body).get("Config", {}).get("Labels") or {}
    return str(labels.get(KEY_LABEL, ""))


def _import(kind: str, url: str, name: str, archive: Path, wanted: str) -> None:
    changes = [*CHANGES, f"LABEL {KEY_LABEL}={wanted}"]
    if kind == "podman":  # whose rendering of Docker's call ignores the changes
        path = "/v4.0.0/libpod/images/import?" + urlencode(
            {"reference": reference(name), "changes": changes}, doseq=True
        )
    else:
        path = "/images/create?" + urlencode(
            {"fromSrc": "-", "repo": REPOSITORY, "tag": name, "changes": changes}, doseq=True
        )
    status, body = _request(url, "POST", path, archive)
    if status != 200 or b'"error"' in body:
        raise ImageMissing(f"the engine at {url} does not take the image: {body.decode(errors='replace')}")
    if _loaded_key(url, name) != wanted:
        raise ImageMissing(f"the engine at {url} took the image but not its settings: {body!r}")


def main() -> int:
    """Make the images and PyTorch's folder, and load the images into the engines that there are."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.images", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="base|mpi|systemd|torch", help="default: all")
    options = parser.parse_args()
    status = 0
    for name in options.names or [*PACKAGES, "torch"]:
        try:
            if name == "torch":
                print(f"torch: {ensure_site()}", flush=True)
                continue
            print(f"{name}: {ensure_archive(name)}", flush=True)
        except ImageMissing as error:
            print(f"{name}: {error}", file=sys.stderr)
            status = 1
            continue
        for kind in engines.KINDS:
            try:
                print(f"{name}: in {kind} as {ensure_image(kind, name)}", flush=True)
            except (ImageMissing, engines.EngineMissing) as error:
                print(f"{name}: not in {kind}: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
