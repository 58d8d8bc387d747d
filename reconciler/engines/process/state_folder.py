"""The engine's state on disk: a folder each for containers and volumes, a file for each network.

A name is taken by renaming a finished folder to it, which fails where there is one: so no half-made container
is ever seen, and two creators cannot both succeed. Choices over all networks are made under a file lock.

What can go wrong: a daemon dies in a create or a remove and leaves a hidden folder (``.new-…``,
``.old-…``); the next engine on the same state removes those older than an hour.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reconciler.engines.process.supervisor import json_files
from reconciler.engines.process.supervisor.event_pipes import announce
from reconciler.errors import Conflict, EngineError, StartFailed

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,250}")
_STALE: Final = 3600.0
_VOLUME: Final = "volume.json"

Json = dict[str, Any]


class Folders:
    """Containers, networks and volumes under one state folder.

    Args:
        root: the state folder; created when it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.containers = root / "containers"
        self.networks = root / "networks"
        self.volumes = root / "volumes"
        self.listeners = root / "listeners"
        self.shims = root / "shims"
        for folder in (self.containers, self.networks, self.volumes, self.listeners):
            folder.mkdir(parents=True, exist_ok=True)
        self._cache: dict[Path, tuple[tuple[int, int], Json]] = {}
        self._cache_lock = threading.Lock()
        self._sweep()

    def _sweep(self) -> None:
        for folder in (self.containers, self.volumes):
            for path in folder.glob(".*"):
                with contextlib.suppress(FileNotFoundError):  # its own maker removes it
                    if time.time() - path.stat().st_mtime > _STALE:
                        shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self, path: Path | None = None) -> Iterator[None]:
        """Hold the lock of all networks, or that of one container's folder, across processes and threads."""
        fd = os.open((path or self.root) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def announce(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        """Tell all who follow events."""
        announce(str(self.listeners), kind=kind, action=action, name=name, labels=labels)

    # Containers

    def container_names(self) -> list[str]:
        """Names of all containers."""
        return [entry.name for entry in os.scandir(self.containers) if not entry.name.startswith(".")]

    def spec(self, home: Path) -> Json | None:
        """What a container was created as; None when it is gone. Kept in memory, for it never changes."""
        try:
            found = (home / json_files.SPEC).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        key = (found.st_ino, found.st_mtime_ns)
        with self._cache_lock:
            cached = self._cache.get(home)
        if cached is not None and cached[0] == key:
            return cached[1]
        spec = json_files.read(str(home / json_files.SPEC))
        if spec is not None:
            with self._cache_lock:
                self._cache[home] = (key, spec)
        return spec

    def all_containers(self) -> Iterator[tuple[Path, Json]]:
        """Folder and specification of every container."""
        for name in self.container_names():
            home = self.containers / name
            spec = self.spec(home)
            if spec is not None:
                yield home, spec

    def find(self, container: str) -> tuple[Path, Json] | None:
        """The folder and specification of a container by name or id."""
        if _NAME.fullmatch(container):
            home = self.containers / container
            if (spec := self.spec(home)) is not None:
                return home, spec
        return next((found for found in self.all_containers() if found[1]["id"] == container), None)

    def add_container(self, name: str, make: Callable[[Path, Path], Json]) -> None:
        """Make a container's folder and give it its name.

        Args:
            name: of the container.
            make: called with the folder's final path and where it is now; returns its specification.

        Raises:
            Conflict: the name is taken.
            StartFailed: the name cannot be a folder's.
        """
        home = self.containers / _checked(name)
        if home.exists():
            raise Conflict(f"A container named {name} exists already.")
        build = self.containers / f".new-{os.urandom(8).hex()}"
        build.mkdir(mode=0o711)
        try:
            spec = make(home, build)
            (build / json_files.LOG).touch(mode=0o600)
            json_files.write(str(build / json_files.SPEC), spec, durable=True)
            _take(build, home, f"A container named {name} exists already.")
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise

    def drop_container(self, home: Path) -> None:
        """Free the name at once, then remove the folder."""
        _discard(home)
        with self._cache_lock:
            self._cache.pop(home, None)

    # Networks

    def network(self, name: str) -> Json | None:
        """A network's record."""
        return json_files.read(str(self.networks / f"{name}.json")) if _NAME.fullmatch(name) else None

    def all_networks(self) -> list[Json]:
        """The records of all networks."""
        paths = sorted(self.networks.glob("[!.]*.json"))
        return [record for path in paths if (record := json_files.read(str(path))) is not None]

    def add_network(self, record: Json) -> Path:
        """Write a new network's record; where it is.

        Raises:
            Conflict: the name is taken.
        """
        name = _checked(record["name"])
        path = self.networks / f"{name}.json"
        try:
            json_files.write(str(path), record, exclusive=True, durable=True)
        except FileExistsError:
            raise Conflict(f"A network named {name} exists already.") from None
        return path

    def drop_network(self, name: str) -> None:
        """Forget a network."""
        json_files.remove(str(self.networks / f"{name}.json"))

    # Volumes

    def volume_data(self, name: str) -> Path | None:
        """The folder of a volume's content; None when there is no such volume."""
        data = self.volumes / name / "data"
        return data if _NAME.fullmatch(name) and data.exists() else None

    def volume(self, name: str) -> Json | None:
        """A volume's record."""
        return json_files.read(str(self.volumes / name / _VOLUME)) if _NAME.fullmatch(name) else None

    def all_volumes(self) -> list[Json]:
        """The records of all volumes."""
        folders = sorted(self.volumes.glob("[!.]*"))
        return [record for f in folders if (record := json_files.read(str(f / _VOLUME))) is not None]

    def add_volume(self, name: str, labels: Mapping[str, str], *, memory: Path | None) -> None:
        """Make a volume's folder; its content in the folder ``memory`` if given.

        Raises:
            Conflict: the name is taken.
        """
        build = self.volumes / f".new-{os.urandom(8).hex()}"
        build.mkdir(mode=0o711)
        try:
            if memory is None:
                (build / "data").mkdir()
            else:
                memory.mkdir(parents=True, mode=0o700)
                (build / "data").symlink_to(memory)
            record = {"name": name, "labels": dict(labels), "memory": str(memory or "")}
            json_files.write(str(build / _VOLUME), record, durable=True)
            _take(build, self.volumes / _checked(name), f"A volume named {name} exists already.")
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            if memory is not None:
                shutil.rmtree(memory, ignore_errors=True)
            raise

    def drop_volume(self, record: Json) -> None:
        """Remove a volume and its content."""
        _discard(self.volumes / record["name"])
        if record["memory"]:
            shutil.rmtree(record["memory"], ignore_errors=True)


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether ``labels`` has all of ``wanted``."""
    return all(labels.get(name) == value for name, value in wanted.items())


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StartFailed(
            f"{name!r} cannot be a name here.", remedy="Use letters, digits, '_', '.' and '-', 251 at most."
        )
    return name


def _take(build: Path, final: Path, message: str) -> None:
    try:
        build.rename(final)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise Conflict(message) from None
        raise


def _discard(folder: Path) -> None:
    aside = folder.parent / f".old-{os.urandom(8).hex()}"
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)
    if aside.exists():
        raise EngineError(
            f"The folder of {folder.name} could not be removed whole.", remedy=f"Remove {aside} by hand."
        )
