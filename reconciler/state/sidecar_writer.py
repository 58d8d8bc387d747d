"""Writes status sidecars, a document per object.

A file is written only when it changed, at most a few times a second: the first change and any urgent one at
once, the rest together. What can go wrong: a full or read-only disk (a later flush tries again, less and less
often; the record has everything), a path that no file can have (told once, never tried), a manifest whose
folder has gone: what is written there would make a folder that is not mounted look like one whose manifests
were removed, so nothing is written until the manifest is back. What takes a file's place and was never a
status (a named pipe, a device, a file of gigabytes) is neither read nor replaced nor removed: it is reported,
and the status is written when it has gone. Whatever is wrong with one file, the others are written.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.common.path_presence import is_absent
from reconciler.common.regular_files import UnfitFileError
from reconciler.common.unicode_text import replace_surrogates
from reconciler.errors import StateError
from reconciler.state.atomic_files import read_if_exists, remove_if_exists, write_atomically
from reconciler.state.sidecar_files import document_key, naming_problem, parse_documents

#: Seconds between two writes of one file while a job only makes progress.
WRITE_INTERVAL: Final = 0.25
#: Files whose documents are kept as data; of the others, of jobs that ended long ago, only the text is.
MAX_PARSED_FILES: Final = 64
#: Seconds between two checks whether a manifest that has gone is back, or a file can be written again.
WITHHELD_RETRY: Final = 1.0
#: Seconds until a write that failed is tried again: doubled with each failure from the interval, up to this.
LAST_RETRY: Final = 10.0

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class SidecarWriter:
    """Collects documents by file and writes the files that changed.

    Args:
        clock: monotonic seconds.
        on_error: called with a write that failed, once until it fails for another reason or has worked; a
            later flush tries it again.
    """

    def __init__(self, *, clock: Callable[[], float], on_error: Callable[[StateError], None]) -> None:
        self._clock = clock
        self._on_error = on_error
        self._lock = threading.Lock()
        #: By file, the one used last at the end; all that is dirty, and the latest of the rest.
        self._documents: dict[Path, dict[str, dict[str, Any]]] = {}
        #: The text of every file.
        self._written: dict[Path, bytes] = {}
        self._written_at: dict[Path, float] = {}
        self._dirty: set[Path] = set()
        #: The manifests whose objects a file describes.
        self._manifests: dict[Path, set[Path]] = {}
        #: Files that are not made because none of their manifests is there, or that cannot be written.
        self._withheld: set[Path] = set()
        #: Files whose name is taken by what nobody has written as a status: a pipe, a device, gigabytes.
        self._foreign: set[Path] = set()
        #: Failed writes in a row, and the error told last.
        self._failures: dict[Path, int] = {}
        self._told: dict[Path, str] = {}

    def put(
        self,
        path: Path,
        key: str,
        document: Mapping[str, Any],
        *,
        manifest: Path | None = None,
        urgent: bool = False,
    ) -> None:
        """Set one object's document; written now if the file is due or it is urgent, else by :meth:`flush`.

        A file is not made while none of its manifests is there; None: it does not depend on one.
        """
        with self._lock:
            documents = self._load(path)
            if manifest is not None:
                self._manifests.setdefault(path, set()).add(manifest)
            if documents.get(key) == document and path not in self._dirty:
                return
            documents[key] = dict(document)
            self._dirty.add(path)
            if urgent or self._clock() - self._written_at.get(path, -WRITE_INTERVAL) >= WRITE_INTERVAL:
                self._write(path)

    def remove(self, path: Path, key: str) -> None:
        """Remove one object from a file; the file goes with its last object."""
        with self._lock:
            documents = self._load(path)
            documents.pop(key, None)
            if documents:
                self._dirty.add(path)
                self._write(path)
                return
            foreign = path in self._foreign
            self._forget(path)
            if foreign or naming_problem(path):
                return
            try:
                remove_if_exists(path)
            except StateError as error:
                self._on_error(error)

    def retain(self, path: Path, keys: Collection[str]) -> None:
        """Remove all objects but these from a file."""
        with self._lock:
            removed = [key for key in self._load(path) if key not in keys]
        for key in removed:
            self.remove(path, key)

    def document(self, path: Path, key: str) -> Mapping[str, Any] | None:
        """The document of an object; None if the sidecar has none."""
        with self._lock:
            return self._load(path).get(key)

    def flush(self, *, everything: bool = False) -> float | None:
        """Write what is due; returns seconds until the next file is, None when nothing waits."""
        with self._lock:
            waits = []
            for path in sorted(self._dirty):
                pause = self._pause(path)
                wait = self._written_at.get(path, -pause) + pause - self._clock()
                if everything or wait <= 0:
                    self._write(path)
                    wait = self._pause(path)
                if path in self._dirty:
                    waits.append(wait)
            return min(waits, default=None)

    def rewrite_missing(self) -> None:
        """Write again the files that somebody removed (``git clean``)."""
        with self._lock:
            for path in [path for path in self._written if is_absent(path)]:
                if self._load(path):
                    del self._written[path]
                    # Until it has worked: a full disk must not make this the last try.
                    self._dirty.add(path)
                    self._write(path)

    def _load(self, path: Path) -> dict[str, dict[str, Any]]:
        """The documents of a file; the first time those of an earlier daemon, so that none gets lost."""
        documents = self._documents.pop(path, None)
        if documents is None:
            documents = {document_key(document): document for document in self._parse(path)}
        clean = [other for other in self._documents if other not in self._dirty]
        for other in clean[: max(0, len(self._documents) - MAX_PARSED_FILES)]:
            del self._documents[other]
        self._documents[path] = documents
        return documents

    def _parse(self, path: Path) -> list[dict[str, Any]]:
        """The documents of a file as this writer has written or found it."""
        if path not in self._written:
            data = None if naming_problem(path) else self._read(path)
            if data is None:
                return []
            self._written[path] = data
        try:
            return parse_documents(self._written[path])
        except ValueError:
            return []

    def _read(self, path: Path) -> bytes | None:
        """The text of a file; None where there is none, or none that can be read."""
        self._foreign.discard(path)
        try:
            return read_if_exists(path, follow_links=False)
        except StateError as error:
            cause = error.__cause__
            # A link is replaced, not followed: what it points to is nobody's status.
            if not isinstance(cause, UnfitFileError):
                self._on_error(error)
            elif cause.errno != errno.ELOOP:
                self._foreign.add(path)
                self._tell(path, error)
            return None

    def _manifest_missing(self, path: Path) -> bool:
        manifests = self._manifests.get(path)
        return manifests is not None and all(map(is_absent, (path, *manifests)))

    def _pause(self, path: Path) -> float:
        """Seconds between two writes of a file as it stands."""
        if path in self._withheld:
            return WITHHELD_RETRY
        return float(min(WRITE_INTERVAL * 2 ** min(self._failures.get(path, 0), 16), LAST_RETRY))

    def _forget(self, path: Path) -> None:
        self._withheld.discard(path)
        self._dirty.discard(path)
        for known in (self._documents, self._manifests, self._written, self._written_at):
            known.pop(path, None)
        self._foreign.discard(path)
        self._failures.pop(path, None)
        self._told.pop(path, None)

    def _fail(self, path: Path, error: StateError) -> None:
        """A write has failed: it is tried again after a pause."""
        self._failures[path] = self._failures.get(path, 0) + 1
        self._tell(path, error)

    def _tell(self, path: Path, error: StateError) -> None:
        """Tell a file's fault, unless that was told already."""
        if self._told.get(path) != str(error):
            self._told[path] = str(error)
            self._on_error(error)

    def _write(self, path: Path) -> None:
        """Write a file; nothing that is wrong with it is raised, because the others wait for their turn."""
        self._written_at[path] = self._clock()
        if problem := naming_problem(path):
            self._dirty.discard(path)
            self._fail(path, StateError(f"Cannot write {path}: {problem}."))
            return
        if self._manifest_missing(path):
            self._withheld.add(path)
            return
        self._withheld.discard(path)
        if path in self._foreign:
            self._read(path)  # it may have been moved away
            if path in self._foreign:
                self._withheld.add(path)
                return
        try:
            self._write_changed(path)
        except StateError as error:
            self._fail(path, error)
        except Exception as error:  # noqa: BLE001  (one file's boundary: such as text that no file can hold)
            self._fail(path, StateError(f"Cannot write {path}: {error!r}."))
        else:
            self._failures.pop(path, None)
            self._told.pop(path, None)

    def _write_changed(self, path: Path) -> None:
        documents = self._documents.get(path, {})
        try:
            data = _dump(documents)
        except UnicodeEncodeError:
            # Checked where it comes in; what was missed there must not cost the job its status.
            data = _dump(replace_surrogates(documents))
        if self._written.get(path) == data:
            self._dirty.discard(path)
            return
        write_atomically(path, data)
        self._written[path] = data
        self._dirty.discard(path)


def _dump(documents: Mapping[str, Mapping[str, Any]]) -> bytes:
    text: str = yaml.dump_all(
        [documents[key] for key in sorted(documents)],
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        explicit_start=len(documents) > 1,
        width=120,
    )
    return text.encode()
