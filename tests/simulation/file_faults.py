"""The daemon's own files as fault points: records, sidecars, materials; real files, on a RAM disk where there is one."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from reconciler.controller.executor import cleanup, generated_secrets, mounted_files
from reconciler.errors import StateError
from reconciler.state import record_store, sidecar_writer
from reconciler.state.atomic_files import remove_if_exists, write_atomically
from reconciler.state.record import Record
from reconciler.state.record_store import RecordStore
from tests.simulation.faults import Faults, Killed


def full_disk() -> StateError:
    """What a write raises when there is no space."""
    return StateError(f"Cannot write: {os.strerror(errno.ENOSPC)}.", remedy="Free space.")


@contextmanager
def breakable(
    faults: Faults, saved: Callable[[Record], None], forgot: Callable[[str], None]
) -> Iterator[None]:
    """While it lasts, each write and removal is a fault point.

    Args:
        faults: told of each.
        saved: told of each record that reached the disk.
        forgot: told of the key of each record that was removed.
    """

    def write(path: Path, data: bytes, **options: Any) -> None:
        with faults.point("write", path.name):
            write_atomically(path, data, **{**options, "durable": False})

    def remove(path: Path) -> None:
        with faults.point("unlink", path.name):
            remove_if_exists(path)

    def remove_tree(path: Path) -> None:
        with faults.point("rmtree", path.name):
            shutil.rmtree(path, ignore_errors=True)

    save, delete = RecordStore.save, RecordStore.delete

    def save_and_tell(self: RecordStore, record: Record) -> None:
        try:
            save(self, record)
        except Killed:
            # Killed after the write it has reached the disk all the same.
            if self.load(record.key) == record:
                saved(record)
            raise
        saved(record)

    def delete_record(self: RecordStore, key: str) -> None:
        with faults.point("unlink", key):
            delete(self, key)
            forgot(key)

    replaced: list[tuple[Any, str, Any]] = [
        (record_store, "write_atomically", write),
        (sidecar_writer, "write_atomically", write),
        (sidecar_writer, "remove_if_exists", remove),
        (mounted_files, "write_atomically", write),
        (generated_secrets, "write_atomically", write),
        (cleanup, "remove_files", remove_tree),
        (RecordStore, "save", save_and_tell),
        (RecordStore, "delete", delete_record),
    ]
    before = [(where, name, getattr(where, name)) for where, name, _ in replaced]
    for where, name, new in replaced:
        setattr(where, name, new)
    logging_before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**logging_before)
        for where, name, old in before:
            setattr(where, name, old)
