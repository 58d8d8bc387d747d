"""Volumes as folders, in memory where ``tmpfs_size`` asks for it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from reconciler.engines.process.state_folder import StateFolder
from reconciler.engines.protocol import VolumeState
from reconciler.engines.specs import VolumeSpec
from reconciler.errors import Conflict, NotFound

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (the system's own folder for files in memory)


class Volumes:
    """The volumes of one state folder."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state

    def list_all(self) -> list[VolumeState]:
        """Returns every volume."""
        return [VolumeState(name=r["name"], labels=r["labels"]) for r in self._state.list_volumes()]

    def find_data(self, name: str) -> Path:
        """Returns the folder of a volume's content.

        Raises:
            NotFound: there is no such volume.
        """
        data = self._state.find_volume_data(name)
        if data is None:
            raise NotFound(f"There is no volume named {name}.")
        return data

    def create(self, spec: VolumeSpec) -> None:
        """Creates a volume; an existing one of the same labels is not an error.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """
        memory = None
        if spec.tmpfs_size is not None and os.access(_MEMORY, os.W_OK):
            memory = _MEMORY / f"reconciler-{secrets.token_hex(8)}"
        try:
            self._state.add_volume(spec.name, {**spec.labels, **spec.owner_labels}, memory=memory)
        except Conflict:
            existing = self._state.load_volume(spec.name)
            if existing is None or not spec.matches(existing["labels"]):
                raise

    def remove(self, name: str) -> None:
        """Removes a volume and its content; a missing one is not an error.

        Raises:
            Conflict: containers mount it.
        """
        with self._state.locked():
            record = self._state.load_volume(name)
            if record is None:
                return
            found = self._state.list_containers(lambda summary: name in summary["volumes"])
            users = sorted(s["name"] for _, s in found if name in s["volumes"])
            if users:
                raise Conflict(f"Volume {name} is used by {', '.join(users)}.", remedy="Remove them first.")
            self._state.remove_volume(record)
