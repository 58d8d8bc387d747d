"""Records on disk: one JSON file per job, ``<state>/records/<instance>/<namespace>/<name>.json``.

What can go wrong: a record from a newer version (unknown fields are ignored, never an error), a torn write
(atomic writes make that impossible short of a broken disk), a record in another's place
(:mod:`reconciler.state.recovery.record_check`): each counts as lost, and the daemon moves its file aside. A
full disk is a ``StateError``: the job waits, nothing is started that could not be remembered. A manifest
whose object has a name that is none (``../x``, or 300 letters) is rejected, and has no record.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

from pydantic_core import PydanticSerializationError

from reconciler.common.unicode_text import replace_surrogates
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.atomic_files import read_if_exists, remove_if_exists, state_error, write_atomically
from reconciler.state.record import Record
from reconciler.state.recovery.record_check import check_record

#: Follows the name of a file that was moved aside, before the time in milliseconds.
LOST_SUFFIX: Final = ".lost-"
#: Beside the record's fields: the instance that it belongs to. Earlier versions wrote none.
_INSTANCE: Final = "instance"


class UnusableRecord(StateError):  # noqa: N818  (a state of it)
    """A record is there and cannot be the one of its key; ``reason`` is for a sentence."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"The record {path} cannot be used: {reason}.")
        self.reason = reason


#: Of a namespace or an object, as Kubernetes allows them at most; none is a path of more than one part.
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,249}")


class RecordStore:
    """The records of one instance on disk.

    Args:
        root: ``<state>/records/<instance>``; made when the first record is written.
        clock: seconds since the epoch.
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings, *, clock: Callable[[], float] = time.time) -> Self:
        """The records of the instance that the settings name."""
        return cls(settings.state_dir / "records" / settings.instance, clock=clock)

    def load(self, key: str) -> Record | None:
        """The record, or None when there is none or it cannot be used.

        Raises:
            StateError: the file is there and cannot be read.
        """
        try:
            return self.read(key)
        except UnusableRecord:
            return None

    def read(self, key: str) -> Record | None:
        """The record, or None when there is none.

        Raises:
            UnusableRecord: it cannot be the one of this key (broken disk, foreign format, another's record).
            StateError: the file is there and cannot be read.
        """
        if not _is_possible(key):
            return None
        path = self._path(key)
        data = read_if_exists(path)
        if data is None:
            return None
        try:
            record = Record.model_validate_json(data)
            instance = json.loads(data).get(_INSTANCE, self._root.name)
        except (ValueError, RecursionError):
            raise UnusableRecord(path, "it has no record's content") from None
        if instance != self._root.name:
            raise UnusableRecord(path, f"it belongs to the instance {instance!r}")
        if reason := check_record(key, record, now=self._clock()):
            raise UnusableRecord(path, reason)
        return record

    def set_aside(self, key: str) -> Path:
        """Renames a record that cannot be used, so that nothing is lost; returns its new path.

        Raises:
            StateError: the system refuses.
        """
        path = self._path(key)
        aside = path.with_name(f"{path.name}{LOST_SUFFIX}{time.time_ns() // 1_000_000}")
        try:
            path.rename(aside)
        except OSError as error:
            raise state_error("rename", path, error) from error
        return aside

    def save(self, record: Record) -> None:
        """Write the record durably.

        Raises:
            StateError: the disk refuses, or no object can have this name.
        """
        if not _is_possible(record.key):
            raise StateError(f"Cannot write a record of {record.key!r}: that is no name of an object.")
        path = self._path(record.key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise state_error("make the folder", path.parent, error) from error
        # The instance first: the record's own fields are never few, so a comma follows.
        data = f'{{"{_INSTANCE}":{json.dumps(self._root.name)},{_encode(record)[1:]}'
        write_atomically(path, data.encode(), mode=0o600)

    def delete(self, key: str) -> None:
        """Delete a job's record; one that is not there is no error.

        Raises:
            StateError: the disk refuses.
        """
        if _is_possible(key):
            remove_if_exists(self._path(key))

    def keys(self) -> Iterator[str]:
        """``namespace/name`` of every record.

        Raises:
            StateError: a folder of records cannot be listed.
        """
        for namespace in _list_names(self._root):
            for name in _list_names(self._root / namespace):
                if name.endswith(".json"):
                    yield f"{namespace}/{name.removesuffix('.json')}"

    def _path(self, key: str) -> Path:
        namespace, name = key.split("/", 1)
        return self._root / namespace / f"{name}.json"


def _is_possible(key: str) -> bool:
    """Whether an object of this ``namespace/name`` may have a record: both are names of one file each."""
    parts = key.split("/")
    return len(parts) == 2 and all(_NAME.fullmatch(part) for part in parts)


def _encode(record: Record) -> str:
    try:
        return record.model_dump_json(exclude_defaults=True)
    except (PydanticSerializationError, UnicodeEncodeError):
        # Text is checked where it comes in; what was missed there must not keep the job from being saved.
        clean = Record.model_validate(replace_surrogates(record.model_dump(exclude_defaults=True)))
        return clean.model_dump_json(exclude_defaults=True)


def _list_names(folder: Path) -> list[str]:
    """Names in a folder, sorted; a :class:`Path` for each of a thousand records would be slow."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise state_error("list", folder, error) from error
