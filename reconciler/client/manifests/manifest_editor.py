"""Edits manifests that people write: ``suspend``, ``resume``, ``rerun`` and ``delete``, and ``delete_job()``.

Comments, order, quotes and other documents stay. The text itself is edited first, at the position that the
YAML parser reports, so that every other byte stays (this serves JSON files as well). The result is parsed and
compared with the data that the edit should produce; where they differ (merge keys, unusual layouts) the file
is written again by ruamel.yaml, which keeps comments but not the layout, and compared again. What can go
wrong after that is an error, and nothing is written: a file whose parts are aliases of each other cannot be
edited in one place only.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from reconciler.client.manifests.yaml_text_edits import ObjectPosition, edit_out_document, edit_value
from reconciler.common.mappings import mapping_at
from reconciler.common.regular_files import LARGE_FILE, read_regular_file
from reconciler.common.yaml_errors import YAML_VALUE_ERRORS, YAML_VALUE_MESSAGE
from reconciler.errors import ReconcilerError, StateError
from reconciler.names import ANNOTATION_RUNTIME, DEFAULT_NAMESPACE
from reconciler.state.atomic_files import write_atomically

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job

#: Changes the data of a file's documents in place.
_Change = Callable[[list[Any]], None]


@dataclass(frozen=True, kw_only=True)
class ObjectRef:
    """Names an object in a file."""

    file: Path
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.file}"


def set_suspend(ref: ObjectRef, *, suspend: bool) -> bool:
    """Sets ``spec.suspend``; returns whether the file had to be changed.

    Raises:
        ReconcilerError: the object is not in the file, or cannot be changed there.
        StateError: the file cannot be read or written.
    """
    return _set(ref, ("spec", "suspend"), suspend, default=False)


def set_annotation(ref: ObjectRef, key: str, value: str) -> bool:
    """Sets an annotation; returns whether the file had to be changed.

    Raises:
        ReconcilerError: the object is not in the file, or cannot be changed there.
        StateError: the file cannot be read or written.
    """
    return _set(ref, ("metadata", "annotations", key), value)


def remove_object(ref: ObjectRef) -> Literal["document", "file"]:
    """Removes the object from its file; removes the file when nothing else is in it.

    Raises:
        ReconcilerError: the object is not in the file, or cannot be removed from it.
        StateError: the file cannot be read or written.
    """
    file = _ManifestFile.read(ref.file)
    position = file.find(ref)

    def remove(documents: list[Any]) -> None:
        if position.item is None:
            del documents[position.document]
        else:
            del documents[position.document]["items"][position.item]

    if all(map(_is_empty, file.data_after(remove))):
        _unlink(ref.file)
        return "file"
    file.write(edit_out_document(file.text, position.document) if position.item is None else None, remove)
    return "document"


def remove_job(job: Job) -> None:
    """Removes a job from its file, with the runtime that was made for it by ``train()``.

    Raises:
        ReconcilerError: the job cannot be removed without changing more.
        StateError: the file cannot be read or written.
    """
    file, namespace = Path(job.file), job.namespace
    annotations = mapping_at(job.manifest, "metadata", "annotations")
    runtime = mapping_at(job.spec, "runtimeRef")
    removed = remove_object(ObjectRef(file=file, kind="TrainJob", namespace=namespace, name=job.name))
    if removed == "file" or ANNOTATION_RUNTIME not in annotations or runtime.get("kind") != "TrainingRuntime":
        return
    name = str(runtime.get("name"))
    try:
        remove_object(ObjectRef(file=file, kind="TrainingRuntime", namespace=namespace, name=name))
    except ReconcilerError:
        if file.exists() and name.encode() in read_regular_file(file, limit=LARGE_FILE):
            raise


def _set(ref: ObjectRef, path: tuple[str, ...], value: Any, *, default: Any = None) -> bool:
    file = _ManifestFile.read(ref.file)
    position = file.find(ref)

    def change(documents: list[Any]) -> None:
        holder = position.get(documents)
        for key in path[:-1]:
            if not isinstance(holder.get(key), Mapping):
                holder[key] = {}
            holder = holder[key]
        holder[path[-1]] = value

    if mapping_at(position.get(file.documents), *path[:-1]).get(path[-1], default) == value:
        return False
    file.write(edit_value(file.text, position, path, value), change)
    return True


@dataclass(frozen=True)
class _ManifestFile:
    """A file as it was read."""

    path: Path
    text: str
    documents: list[Any]
    stat: os.stat_result

    @classmethod
    def read(cls, path: Path) -> _ManifestFile:
        try:
            result = path.stat()
            text = read_regular_file(path, limit=LARGE_FILE).decode("utf-8")
            documents = list(yaml.safe_load_all(text))
        except FileNotFoundError:
            raise ReconcilerError(f"{path} is gone.", remedy="Look again: reconciler get jobs.") from None
        except OSError as error:
            raise StateError(f"Cannot read {path}: {error.strerror}.") from error
        except (yaml.YAMLError, *YAML_VALUE_ERRORS) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            other = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else YAML_VALUE_MESSAGE
            problem = getattr(error, "problem", None) or other
            raise ReconcilerError(
                f"{where}: the file cannot be parsed: {problem}.", remedy="Mend it first, then try again."
            ) from None
        return cls(path, text, documents, result)

    def find(self, ref: ObjectRef) -> ObjectPosition:
        """Returns the position of the object; of several of one name the first."""
        for number, document in enumerate(self.documents):
            for item, candidate in _list_objects(document):
                if _matches(candidate, ref):
                    return ObjectPosition(document=number, item=item)
        raise ReconcilerError(f"There is no {ref}.", remedy="Look again: reconciler get jobs.")

    def data_after(self, change: _Change) -> list[Any]:
        """Returns the data after the change; shared parts (aliases) are copied first."""
        data: list[Any] = _copy_unshared(self.documents)
        change(data)
        return data

    def write(self, text: str | None, change: _Change) -> None:
        """Writes the edited text, or a round-trip of the file, whichever has the data after the change."""
        expected = self.data_after(change)
        if text is None or not _parses_to(text, expected):
            text = self._dump_after(change)
        if not _parses_to(text, expected):
            raise ReconcilerError(
                f"{self.path} cannot be changed by a program without changing more.",
                remedy="It has aliases, or one object twice: edit it by hand.",
            )
        if _version(self.path.stat()) != _version(self.stat):
            raise ReconcilerError(f"{self.path} was just changed by somebody else.", remedy="Try again.")
        real = self.path.resolve()  # a link to a manifest stays one
        mode = stat.S_IMODE(self.stat.st_mode)
        owner = (self.stat.st_uid, self.stat.st_gid)
        write_atomically(real, text.encode("utf-8"), mode=mode, owner=owner)

    def _dump_after(self, change: _Change) -> str:
        if self.path.suffix.lower() == ".json":
            return json.dumps(self.data_after(change)[0], indent=2, ensure_ascii=False) + "\n"
        from io import StringIO  # noqa: PLC0415

        from ruamel.yaml import YAML  # noqa: PLC0415  (only where the text could not be edited in place)

        round_trip = YAML()
        round_trip.preserve_quotes = True
        round_trip.width = 1_000_000
        round_trip.allow_duplicate_keys = True
        documents = list(round_trip.load_all(self.text))
        change(documents)
        out = StringIO()
        round_trip.dump_all(documents, out)
        return out.getvalue()


def _version(result: os.stat_result) -> tuple[int, int, int]:
    return result.st_mtime_ns, result.st_size, result.st_ino


def _parses_to(text: str, expected: list[Any]) -> bool:
    try:
        return list(yaml.safe_load_all(text)) == expected
    except (yaml.YAMLError, *YAML_VALUE_ERRORS):
        return False


def _copy_unshared(value: Any) -> Any:
    """A copy in which nothing is shared; deepcopy() would keep what aliases share."""
    if isinstance(value, dict):
        return {key: _copy_unshared(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy_unshared(item) for item in value]
    return value


def _is_list(document: Any) -> bool:
    return isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List")


def _list_objects(document: Any) -> list[tuple[int | None, Any]]:
    """The objects of a document; in a List, each with its index."""
    if _is_list(document):
        items = document.get("items")
        return list(enumerate(items)) if isinstance(items, list) else []
    return [(None, document)]


def _matches(candidate: Any, ref: ObjectRef) -> bool:
    metadata = mapping_at(candidate, "metadata")
    named = (metadata.get("namespace") or DEFAULT_NAMESPACE, metadata.get("name"))
    return mapping_at(candidate).get("kind") == ref.kind and named == (ref.namespace, ref.name)


def _is_empty(document: Any) -> bool:
    return not document.get("items") if _is_list(document) else document is None


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise StateError(f"Cannot remove {path}: {error.strerror}.") from error
