"""Small changes to manifests that belong to people: comments, order, quotes and other documents stay.

A change is first made in the text itself, at the place that the YAML parser reports, so that every other
byte stays as it is (this serves JSON files as well). The result is parsed and compared with what the change
should have made of the data; where it differs (merge keys, unusual layouts) the file is written anew by
ruamel.yaml, which keeps comments, and compared again. What can go wrong after that is said, not written: a
file whose parts are aliases of each other cannot be changed in one place only.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from reconciler.client.manifests.yaml_text import Place, Splice, clone, remove_document, set_value
from reconciler.common.yaml_errors import MISFIT, MISFITS
from reconciler.errors import ReconcilerError, StateError
from reconciler.names import DEFAULT_NAMESPACE, PREFIX
from reconciler.state.atomic_files import write_atomically

ANNOTATION_RERUN: Final = PREFIX + "rerun"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An object in a file.

    Attributes:
        file: path of the manifest.
        line: of its document, from 1; tells apart several of one name; 0 unknown.
    """

    file: Path
    kind: str
    namespace: str
    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.file}"


def set_suspend(target: Target, *, suspend: bool) -> bool:
    """Set ``spec.suspend``; returns whether the file had to be changed.

    Raises:
        ReconcilerError: the object is not in the file, or cannot be changed there.
        StateError: the file cannot be read or written.
    """
    return _set(target, ("spec", "suspend"), suspend, implied=False)


def set_annotation(target: Target, key: str, value: str) -> bool:
    """Set an annotation; returns whether the file had to be changed.

    Raises:
        ReconcilerError: the object is not in the file, or cannot be changed there.
        StateError: the file cannot be read or written.
    """
    return _set(target, ("metadata", "annotations", key), value)


def remove_object(target: Target) -> Literal["document", "file"]:
    """Take the object out of its file; the file goes when nothing else is in it.

    Raises:
        ReconcilerError: the object is not in the file, or cannot be taken out of it.
        StateError: the file cannot be read or written.
    """
    source = _Source.read(target.file)
    place = source.find(target)

    def drop(documents: list[Any]) -> None:
        if place.item is None:
            del documents[place.document]
        else:
            del documents[place.document]["items"][place.item]

    expected = source.expect(drop)
    if not any(_holds_something(document) for document in expected):
        _unlink(target.file)
        return "file"
    splice = remove_document(source.text, place) if place.item is None else None
    source.write(splice, expected, drop)
    return "document"


def _set(target: Target, path: tuple[str, ...], value: Any, *, implied: Any = None) -> bool:
    source = _Source.read(target.file)
    place = source.find(target)

    def change(documents: list[Any]) -> None:
        holder = place.of(documents)
        for key in path[:-1]:
            if not isinstance(holder.get(key), Mapping):
                holder[key] = {}
            holder = holder[key]
        holder[path[-1]] = value

    if _lookup(place.of(source.documents), path, implied) == value:
        return False
    source.write(set_value(source.text, place, path, value), source.expect(change), change)
    return True


@dataclass(frozen=True)
class _Source:
    """A file as it was read."""

    path: Path
    text: str
    documents: list[Any]
    facts: os.stat_result

    @classmethod
    def read(cls, path: Path) -> _Source:
        try:
            facts = path.stat()
            text = path.read_bytes().decode("utf-8")
            documents = list(yaml.safe_load_all(text))
        except FileNotFoundError:
            raise ReconcilerError(f"{path} is gone.", remedy="Look again: reconciler get jobs.") from None
        except OSError as error:
            raise StateError(f"Cannot read {path}: {error.strerror}.") from error
        except (yaml.YAMLError, *MISFITS) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            other = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else MISFIT
            problem = getattr(error, "problem", None) or other
            raise ReconcilerError(
                f"{where}: the file cannot be parsed: {problem}.", remedy="Mend it first, then try again."
            ) from None
        return cls(path, text, documents, facts)

    def find(self, target: Target) -> Place:
        """Where the object is in the file."""
        places = [
            Place(document=number, item=item)
            for number, document in enumerate(self.documents)
            for item, candidate in _objects_of(document)
            if _is_object(candidate, target)
        ]
        if not places:
            raise ReconcilerError(f"There is no {target}.", remedy="Look again: reconciler get jobs.")
        return places[0]

    def expect(self, change: Callable[[list[Any]], None]) -> list[Any]:
        """The data after the change; shared parts (aliases) are taken apart first."""
        data: list[Any] = clone(self.documents)
        change(data)
        return data

    def write(self, splice: Splice | None, expected: list[Any], change: Callable[[list[Any]], None]) -> None:
        """Write the changed text, in the gentlest form that means what was wanted."""
        text = splice.apply(self.text) if splice is not None else None
        if text is None or not _means(text, expected):
            text = self._dumped(change)
        if not _means(text, expected):
            raise ReconcilerError(
                f"{self.path} cannot be changed by a program without changing more.",
                remedy="It has aliases, or one object twice: edit it by hand.",
            )
        now = self.path.stat()
        if (now.st_mtime_ns, now.st_size, now.st_ino) != (
            self.facts.st_mtime_ns,
            self.facts.st_size,
            self.facts.st_ino,
        ):
            raise ReconcilerError(f"{self.path} was just changed by somebody else.", remedy="Try again.")
        real = self.path.resolve()  # a link to a manifest stays one
        mode = stat.S_IMODE(self.facts.st_mode)
        owner = (self.facts.st_uid, self.facts.st_gid)
        write_atomically(real, text.encode("utf-8"), mode=mode, owner=owner)

    def _dumped(self, change: Callable[[list[Any]], None]) -> str:
        if self.path.suffix.lower() == ".json":
            data = clone(self.documents)
            change(data)
            return json.dumps(data[0], indent=2, ensure_ascii=False) + "\n"
        from io import StringIO  # noqa: PLC0415

        from ruamel.yaml import YAML  # noqa: PLC0415  (only where the text could not be changed in place)

        round_trip = YAML()
        round_trip.preserve_quotes = True
        round_trip.width = 1_000_000
        round_trip.allow_duplicate_keys = True
        documents = list(round_trip.load_all(self.text))
        change(documents)
        out = StringIO()
        round_trip.dump_all(documents, out)
        return out.getvalue()


def _means(text: str, expected: list[Any]) -> bool:
    try:
        return list(yaml.safe_load_all(text)) == expected
    except (yaml.YAMLError, *MISFITS):
        return False


def _objects_of(document: Any) -> list[tuple[int | None, Any]]:
    if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
        items = document.get("items")
        return list(enumerate(items)) if isinstance(items, list) else []
    return [(None, document)]


def _is_object(candidate: Any, target: Target) -> bool:
    if not isinstance(candidate, Mapping) or candidate.get("kind") != target.kind:
        return False
    metadata = candidate.get("metadata")
    if not isinstance(metadata, Mapping):
        return False
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    return metadata.get("name") == target.name and namespace == target.namespace


def _holds_something(document: Any) -> bool:
    if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
        return bool(document.get("items"))
    return document is not None


def _lookup(holder: Any, path: tuple[str, ...], implied: Any) -> Any:
    for key in path:
        if not isinstance(holder, Mapping) or key not in holder:
            return implied
        holder = holder[key]
    return holder


def _unlink(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise StateError(f"Cannot remove {path}: {error.strerror}.") from error
