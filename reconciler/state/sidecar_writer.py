"""Status sidecars: ``<stem>.status.yaml`` beside the manifest, or in the same tree under ``--status-dir``.

A document per object. Written only when it changed, at most a few times a second a file: the first change and
any final one at once, the rest gathered. What can go wrong: a full or read-only disk (the next pass tries
again; the record has everything), a manifest whose folder has gone: what is written there would make a folder
that is not mounted look like one whose manifests were removed, so nothing is until the manifest is back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.common.yaml_errors import MISFITS
from reconciler.errors import StateError
from reconciler.names import API_VERSION
from reconciler.state.atomic_files import read_if_exists, remove_if_exists, write_atomically

SUFFIX = ".status.yaml"
#: Seconds between two writes of one file while a job only makes progress.
INTERVAL = 0.25
#: Files whose documents are kept as data; of the others, of jobs that ended long ago, only the text is.
KEPT_PARSED = 64
#: Seconds between two looks whether a manifest that has gone is back.
WITHHELD = 1.0

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def sidecar_path(manifest: Path, *, specs: Path, status_dir: Path | None) -> Path:
    """Where the status of a manifest goes."""
    name = manifest.name
    for ending in (".yaml", ".yml", ".json"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    folder = manifest.parent
    if status_dir is not None:
        folder = status_dir / folder.relative_to(specs) if folder.is_relative_to(specs) else status_dir
    return folder / f"{name}{SUFFIX}"


def orphaned_sidecars(*, specs: Path, status_dir: Path | None) -> list[Path]:
    """Sidecars of this project's making whose manifest is not there any more."""
    root = status_dir or specs
    orphans = []
    for path in sorted(root.rglob(f"*{SUFFIX}")):
        stem = specs / path.relative_to(root).parent / path.name.removesuffix(SUFFIX)
        if any(stem.with_name(stem.name + ending).exists() for ending in ("", ".yaml", ".yml", ".json")):
            continue
        documents = read_sidecar(path)
        if documents and all(d.get("apiVersion") == API_VERSION and "status" in d for d in documents):
            orphans.append(path)
    return orphans


def read_sidecar(path: Path) -> list[dict[str, Any]]:
    """The documents of a sidecar; none when it is not there or cannot be parsed.

    Raises:
        StateError: it is there and cannot be read.
    """
    data = read_if_exists(path)
    return _parsed(data) if data is not None else []


def _parsed(data: bytes) -> list[dict[str, Any]]:
    try:
        return [d for d in yaml.load_all(data, Loader=_Loader) if isinstance(d, dict)]
    except (yaml.YAMLError, *MISFITS):
        return []


def document_key(document: Mapping[str, Any]) -> str:
    """``Kind/namespace/name`` of a sidecar's document."""
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return f"{document.get('kind', '')}/{metadata.get('namespace', '')}/{metadata.get('name', '')}"


class SidecarWriter:
    """Gathers documents by file and writes the files that changed.

    Args:
        clock: monotonic seconds.
        on_error: told of a write that failed; it is tried again with the next flush.
    """

    def __init__(self, *, clock: Callable[[], float], on_error: Callable[[StateError], None]) -> None:
        self._clock = clock
        self._on_error = on_error
        self._lock = threading.Lock()
        #: By file, the one asked for last at the end; all that is dirty, and the latest of the rest.
        self._documents: dict[Path, dict[str, dict[str, Any]]] = {}
        #: The text of every file.
        self._written: dict[Path, bytes] = {}
        self._last: dict[Path, float] = {}
        self._dirty: set[Path] = set()
        #: The manifests that a file is about.
        self._manifests: dict[Path, set[Path]] = {}
        #: Files that would be made beside nothing.
        self._withheld: set[Path] = set()

    def put(
        self,
        path: Path,
        key: str,
        document: Mapping[str, Any],
        *,
        manifest: Path | None = None,
        urgent: bool = False,
    ) -> None:
        """Set one object's document; written now if the file is due or it is urgent, else by ``flush``.

        A file is not made while none of its manifests is there; None: there is no need of one.
        """
        with self._lock:
            documents = self._known(path)
            if manifest is not None:
                self._manifests.setdefault(path, set()).add(manifest)
            if documents.get(key) == document and path not in self._dirty:
                return
            documents[key] = dict(document)
            self._dirty.add(path)
            if urgent or self._clock() - self._last.get(path, -INTERVAL) >= INTERVAL:
                self._write(path)

    def drop(self, path: Path, key: str) -> None:
        """Take one object out of a file; the last one takes the file along."""
        with self._lock:
            documents = self._known(path)
            documents.pop(key, None)
            if documents:
                self._dirty.add(path)
                self._write(path)
                return
            self._documents.pop(path, None)
            self._manifests.pop(path, None)
            self._withheld.discard(path)
            self._dirty.discard(path)
            self._written.pop(path, None)
            self._last.pop(path, None)
            try:
                remove_if_exists(path)
            except StateError as error:
                self._on_error(error)

    def retain(self, path: Path, keys: Collection[str]) -> None:
        """Drop the documents of objects that the manifest does not define any more."""
        with self._lock:
            gone = [key for key in self._known(path) if key not in keys]
        for key in gone:
            self.drop(path, key)

    def document(self, path: Path, key: str) -> Mapping[str, Any] | None:
        """What the sidecar says of an object; None if nothing."""
        with self._lock:
            return self._known(path).get(key)

    def flush(self, *, everything: bool = False) -> float | None:
        """Write what is due; returns seconds until the next file is, None when nothing waits."""
        with self._lock:
            waits = []
            for path in sorted(self._dirty):
                pause = WITHHELD if path in self._withheld else INTERVAL
                wait = self._last.get(path, -pause) + pause - self._clock()
                if everything or wait <= 0:
                    self._write(path)
                else:
                    waits.append(wait)
            return min(waits, default=None)

    def rewrite_missing(self) -> None:
        """Write again the files that somebody removed (``git clean``)."""
        with self._lock:
            for path in [path for path in self._written if not path.exists()]:
                if self._known(path):
                    del self._written[path]
                    # Until it has worked: a full disk must not make this the last try.
                    self._dirty.add(path)
                    self._write(path)

    def _known(self, path: Path) -> dict[str, dict[str, Any]]:
        """The documents of a file; those of an earlier daemon the first time, so that none gets lost."""
        known = self._documents.pop(path, None)
        if known is None:
            known = {document_key(document): document for document in _parsed(self._text(path))}
        clean = [other for other in self._documents if other not in self._dirty]
        for other in clean[: max(0, len(self._documents) - KEPT_PARSED)]:
            del self._documents[other]
        self._documents[path] = known
        return known

    def _text(self, path: Path) -> bytes:
        """What the file says, as this writer has written or found it."""
        if path not in self._written:
            try:
                data = read_if_exists(path)
            except StateError as error:
                self._on_error(error)
                data = None
            if data is None:
                return b""
            self._written[path] = data
        return self._written[path]

    def _beside_nothing(self, path: Path) -> bool:
        manifests = self._manifests.get(path)
        return manifests is not None and not path.exists() and not any(m.exists() for m in manifests)

    def _write(self, path: Path) -> None:
        self._last[path] = self._clock()
        if self._beside_nothing(path):
            self._withheld.add(path)
            return
        self._withheld.discard(path)
        documents = self._documents.get(path, {})
        data = yaml.dump_all(
            [documents[key] for key in sorted(documents)],
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            explicit_start=len(documents) > 1,
            width=120,
        ).encode()
        if self._written.get(path) == data:
            self._dirty.discard(path)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        except OSError as error:
            self._on_error(StateError(f"Cannot make the folder {path.parent}: {error.strerror}."))
        except StateError as error:
            self._on_error(error)
        else:
            self._written[path] = data
            self._dirty.discard(path)
