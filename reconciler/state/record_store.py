"""Records on disk: one JSON file per job, ``<state>/records/<instance>/<namespace>/<name>.json``.

What can go wrong: a record from a newer version (unknown fields are ignored, never an error), a torn write
(atomic writes make that impossible short of a broken disk: then the record counts as lost), a full disk
(``StateError``, the job waits: nothing is started that could not be remembered), a manifest whose object has
a name that is none (``../x``, or 300 letters): it is rejected, and has no record.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from reconciler.common.unicode_text import replace_surrogates
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.atomic_files import read_if_exists, remove_if_exists, state_error, write_atomically
from reconciler.state.record import Record

#: Of a namespace or an object, as Kubernetes allows them at most; none is a path of more than one part.
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,249}")


class RecordStore:
    """The records of one instance on disk.

    Args:
        root: ``<state>/records/<instance>``; made when the first record is written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The records of the instance that the settings name."""
        return cls(settings.state_dir / "records" / settings.instance)

    def load(self, key: str) -> Record | None:
        """The record, or None when there is none or it cannot be used (broken disk, foreign format).

        Raises:
            StateError: the file is there and cannot be read.
        """
        data = read_if_exists(self._path(key)) if _is_possible(key) else None
        if data is None:
            return None
        try:
            return Record.model_validate_json(data)
        except ValidationError:
            return None

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
        write_atomically(path, _encode(record), mode=0o600)

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


def _encode(record: Record) -> bytes:
    try:
        return record.model_dump_json(exclude_defaults=True).encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        # Text is checked where it comes in; what was missed there must not keep the job from being saved.
        clean = Record.model_validate(replace_surrogates(record.model_dump(exclude_defaults=True)))
        return clean.model_dump_json(exclude_defaults=True).encode()


def _list_names(folder: Path) -> list[str]:
    """Names in a folder, sorted; a :class:`Path` for each of a thousand records would be slow."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise state_error("list", folder, error) from error
