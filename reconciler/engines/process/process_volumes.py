"""Volumes that are folders, in memory where that was asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from reconciler.engines.process.state_folder import Folders
from reconciler.engines.protocol import VolumeState
from reconciler.engines.specs import VolumeSpec
from reconciler.errors import Conflict, EngineError

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (the system's own place for files in memory)


class Volumes:
    """The volumes of one state folder."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def all(self) -> list[VolumeState]:
        """Every volume."""
        return [VolumeState(name=r["name"], labels=r["labels"]) for r in self._folders.all_volumes()]

    def create(self, spec: VolumeSpec, volume_id: str) -> None:
        """Make a volume; one of the same name and labels is no error.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """
        memory = None
        if spec.tmpfs_size is not None and os.access(_MEMORY, os.W_OK):
            memory = _MEMORY / f"reconciler-{volume_id[:16]}"
        try:
            self._folders.add_volume(spec.name, {**spec.labels, **spec.owner}, memory=memory)
        except Conflict:
            existing = self._folders.volume(spec.name)
            if existing is None or not spec.is_met_by(existing["labels"]):
                raise

    def remove(self, name: str) -> None:
        """Remove a volume and its content; one that is not there is no error.

        Raises:
            EngineError: containers mount it.
        """
        with self._folders.locked():
            record = self._folders.volume(name)
            if record is None:
                return
            users = sorted(s["name"] for _, s in self._folders.all_containers() if name in s["volumes"])
            if users:
                raise EngineError(
                    f"Volume {name} is used by {', '.join(users)}.", remedy="Remove them first."
                )
            self._folders.drop_volume(record)
