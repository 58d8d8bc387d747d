"""The engine's state on disk: a folder for each container and volume, a file for each network.

A name is taken by renaming a finished folder to it, which fails where one exists: so no half-made container
is ever seen, and two creators cannot both succeed. Choices over all networks are made under a file lock.

What can go wrong: a daemon dies in a create or a remove and leaves a hidden folder (``.new-…``, ``.old-…``);
the next engine on the same state removes those older than an hour.
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

from reconciler.engines.process import state_checks
from reconciler.engines.process.supervisor import event_pipes, json_files
from reconciler.errors import Conflict, EngineError, StartFailed

_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,250}")
_STALE_AFTER: Final = 3600.0
_VOLUME: Final = "volume.json"
#: Of a container: what says which one it is, should its specification be damaged.
_SUMMARY: Final = "summary.json"

Json = dict[str, Any]


class StateFolder:
    """Containers, networks and volumes below one folder.

    A container's ``home`` is its folder, its ``spec`` what it was created with, as in ``spec.json``.

    Args:
        root: the state folder; created where it does not exist.
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
        self._specs: dict[Path, tuple[tuple[int, int], Json]] = {}
        self._specs_lock = threading.Lock()
        self._remove_stale()

    def _remove_stale(self) -> None:
        for folder in (self.containers, self.volumes):
            for path in folder.glob(".*"):
                with contextlib.suppress(FileNotFoundError):  # the engine that made it removes it
                    if time.time() - path.stat().st_mtime > _STALE_AFTER:
                        shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self, path: Path | None = None) -> Iterator[None]:
        """Holds the lock of all networks, or that of one container's folder, across processes and threads."""
        with file_lock((path or self.root) / "lock"):
            yield

    def publish(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        """Sends an event to all subscribers."""
        event_pipes.publish(str(self.listeners), kind=kind, action=action, name=name, labels=labels)

    # Containers

    def load_spec(self, home: Path) -> Json | None:
        """Returns a container's specification, None where it was removed; cached, since it never changes."""
        try:
            found = (home / json_files.SPEC).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        version = (found.st_ino, found.st_mtime_ns)
        with self._specs_lock:
            cached = self._specs.get(home)
        if cached is not None and cached[0] == version:
            return cached[1]
        path = home / json_files.SPEC
        spec = state_checks.check_spec(json_files.read(str(path)), path)
        if spec is not None:
            with self._specs_lock:
                self._specs[home] = (version, spec)
        return spec

    def list_containers(
        self, concerns: Callable[[Json], bool] = lambda _summary: True
    ) -> Iterator[tuple[Path, Json]]:
        """Yields folder and specification of every container.

        Args:
            concerns: whether the caller has to know of a container, by its id, labels, network, address and
                volumes: one whose specification is damaged keeps nobody else from going on.

        Raises:
            ValueError: the specification of one that the caller has to know of is damaged.
        """
        for home in list(self.containers.iterdir()):
            if home.name.startswith("."):
                continue
            try:
                spec = self.load_spec(home)
            except ValueError:
                if self._concerns(home, concerns):
                    raise
                continue
            if spec is not None:
                yield home, spec

    def _concerns(self, home: Path, concerns: Callable[[Json], bool]) -> bool:
        path = home / _SUMMARY
        try:
            summary = state_checks.check_summary(json_files.read(str(path)), path)
        except ValueError:
            return True
        return summary is None or concerns(summary)

    def find_container(self, container: str) -> tuple[Path, Json] | None:
        """Returns folder and specification of a container by name or id."""
        if _NAME.fullmatch(container):
            home = self.containers / container
            if (spec := self.load_spec(home)) is not None:
                return home, spec
        found = self.list_containers(lambda summary: bool(summary["id"] == container))
        return next((each for each in found if each[1]["id"] == container), None)

    def add_container(self, name: str, fill: Callable[[Path, Path], Json]) -> None:
        """Creates a container's folder and gives it its name.

        Args:
            name: of the container.
            fill: called with the folder's final path and its present one; returns the specification.

        Raises:
            Conflict: the name is taken.
            StartFailed: the name cannot be a folder's.
        """
        home = self.containers / _check_name(name)
        if home.exists():
            raise Conflict(f"A container named {name} exists already.")
        build = self.containers / f".new-{os.urandom(8).hex()}"
        build.mkdir(mode=0o711)
        try:
            spec = fill(home, build)
            (build / json_files.LOG).touch(mode=0o600)
            json_files.write(str(build / json_files.SPEC), spec, durable=True)
            summary = {key: spec[key] for key in state_checks.SUMMARY_FIELDS}
            json_files.write(str(build / _SUMMARY), summary)
            _rename(build, home, f"A container named {name} exists already.")
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            raise

    def remove_container(self, home: Path) -> None:
        """Frees the name at once, then removes the folder."""
        _remove_folder(home)
        with self._specs_lock:
            self._specs.pop(home, None)

    # Networks

    def load_network(self, name: str) -> Json | None:
        """Returns a network's record."""
        return self._read_network(self.networks / f"{name}.json") if _NAME.fullmatch(name) else None

    def _read_network(self, path: Path) -> Json | None:
        return state_checks.check_network(json_files.read(str(path)), path)

    def list_networks(self) -> list[Json]:
        """Returns the records of all networks."""
        paths = sorted(self.networks.glob("[!.]*.json"))
        return [record for path in paths if (record := self._read_network(path)) is not None]

    def add_network(self, record: Json) -> Path:
        """Writes a new network's record; returns its path.

        Raises:
            Conflict: the name is taken.
        """
        name = _check_name(record["name"])
        path = self.networks / f"{name}.json"
        try:
            json_files.write(str(path), record, exclusive=True, durable=True)
        except FileExistsError:
            raise Conflict(f"A network named {name} exists already.") from None
        return path

    def remove_network(self, name: str) -> None:
        """Removes a network's record."""
        json_files.remove(str(self.networks / f"{name}.json"))

    # Volumes

    def find_volume_data(self, name: str) -> Path | None:
        """Returns the folder of a volume's content; None where there is no such volume."""
        data = self.volumes / name / "data"
        return data if _NAME.fullmatch(name) and data.exists() else None

    def load_volume(self, name: str) -> Json | None:
        """Returns a volume's record."""
        return self._read_volume(self.volumes / name / _VOLUME) if _NAME.fullmatch(name) else None

    def _read_volume(self, path: Path) -> Json | None:
        return state_checks.check_volume(json_files.read(str(path)), path)

    def list_volumes(self) -> list[Json]:
        """Returns the records of all volumes."""
        folders = sorted(self.volumes.glob("[!.]*"))
        return [record for f in folders if (record := self._read_volume(f / _VOLUME)) is not None]

    def add_volume(self, name: str, labels: Mapping[str, str], *, memory: Path | None) -> None:
        """Creates a volume's folder; its content in the folder ``memory`` where that is given.

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
            _rename(build, self.volumes / _check_name(name), f"A volume named {name} exists already.")
        except BaseException:
            shutil.rmtree(build, ignore_errors=True)
            if memory is not None:
                shutil.rmtree(memory, ignore_errors=True)
            raise

    def remove_volume(self, record: Json) -> None:
        """Removes a volume and its content."""
        _remove_folder(self.volumes / record["name"])
        if record.get("memory"):
            shutil.rmtree(record["memory"], ignore_errors=True)


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Holds the lock of a file, across processes and threads; another user's link is not followed."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def has_labels(labels: Mapping[str, str], selector: Mapping[str, str]) -> bool:
    """Whether ``labels`` contains all of ``selector``."""
    return selector.items() <= labels.items()


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StartFailed(
            f"{name!r} cannot be a name here.", remedy="Use letters, digits, '_', '.' and '-', 251 at most."
        )
    return name


def _rename(build: Path, final: Path, message: str) -> None:
    try:
        build.rename(final)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise Conflict(message) from None
        raise


def _remove_folder(folder: Path) -> None:
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
