"""Records on disk: one JSON file per job, ``<state>/records/<instance>/<namespace>/<name>.json``.

What can go wrong: a record from a newer version (unknown fields are ignored, never an error), a torn write
(atomic writes make that impossible short of a broken disk: then the record counts as lost), a full disk
(``StateError``, the job waits: nothing is started that could not be remembered).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from reconciler.common.unicode_text import replace_surrogates
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.atomic_files import read_if_exists, write_atomically
from reconciler.state.record import Record


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
        data = read_if_exists(self._path(key))
        if data is None:
            return None
        try:
            return Record.model_validate_json(data)
        except ValidationError:
            return None

    def save(self, record: Record) -> None:
        """Write the record durably.

        Raises:
            StateError: the disk refuses.
        """
        path = self._path(record.key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StateError(f"Cannot make the folder {path.parent}: {error.strerror}.") from error
        write_atomically(path, _encode(record), mode=0o600)

    def delete(self, key: str) -> None:
        """Delete a job's record; one that is not there is no error."""
        self._path(key).unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        """``namespace/name`` of every record."""
        for namespace in _list_names(self._root):
            for name in _list_names(self._root / namespace):
                if name.endswith(".json"):
                    yield f"{namespace}/{name.removesuffix('.json')}"

    def _path(self, key: str) -> Path:
        namespace, name = key.split("/", 1)
        return self._root / namespace / f"{name}.json"


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
