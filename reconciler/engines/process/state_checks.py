"""Checks that a file of the engine's state holds what it must, before anything is decided on it.

They are written as a whole or not at all; but a disk that was full, a backup that was put back in part or a
person may leave half of one, and a container without its labels, or without its exit, would be taken for
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final

Json = dict[str, Any]

_NUMBER: Final = (int, float)
#: The types of a file's fields; a field with None among its types may be missing.
_Fields = Mapping[str, tuple[type, ...]]

_SPEC: Final[_Fields] = {
    "id": (str,),
    "name": (str,),
    "labels": (dict,),
    "created_at": _NUMBER,
    "address": (str,),
    "network": (str, NoneType),
    "shared": (bool,),
    "hostname": (str,),
    "volumes": (list,),
    "rewrite": (dict,),
    "launch": (dict,),
}
#: The fields of a specification that a summary has.
SUMMARY_FIELDS: Final = ("id", "labels", "network", "address", "volumes")
_SUMMARY: Final[_Fields] = {name: _SPEC[name] for name in SUMMARY_FIELDS}
_RUN: Final[_Fields] = {
    "supervisor": (int,),
    "supervisor_identity": (str,),
    "main": (int,),
    "main_identity": (str, NoneType),
    "started_at": (*_NUMBER, NoneType),
}
_EXIT: Final[_Fields] = {
    "code": (int, NoneType),
    "finished_at": _NUMBER,
    "oom_killed": (bool, NoneType),
    "error": (str, NoneType),
}
_NETWORK: Final[_Fields] = {
    "id": (str,),
    "name": (str,),
    "labels": (dict,),
    "subnet": (str,),
    "gateway": (str,),
    "port": (int, NoneType),
}
_VOLUME: Final[_Fields] = {"name": (str,), "labels": (dict,), "memory": (str, NoneType)}


def check_spec(record: Json | None, path: object) -> Json | None:
    """Returns what a container was created with; None where there is no file, as below.

    Raises:
        ValueError: it is damaged; the message names file and field. So do the others.
    """
    return _check(record, _SPEC, path)


def check_summary(record: Json | None, path: object) -> Json | None:
    """Returns the part of a specification that says which container it is."""
    return _check(record, _SUMMARY, path)


def check_run(record: Json | None, path: object) -> Json | None:
    """Returns the processes of a container that was started."""
    return _check(record, _RUN, path)


def check_exit(record: Json | None, path: object) -> Json | None:
    """Returns how a container has ended."""
    return _check(record, _EXIT, path)


def check_network(record: Json | None, path: object) -> Json | None:
    """Returns a network."""
    return _check(record, _NETWORK, path)


def check_volume(record: Json | None, path: object) -> Json | None:
    """Returns a volume."""
    return _check(record, _VOLUME, path)


def _check(record: Json | None, fields: _Fields, path: object) -> Json | None:
    if record is None:
        return None
    for name, types in fields.items():
        value = record.get(name)
        # A bool is an int for Python, and for nobody else.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise ValueError(f"{path}: `{name}` is missing or of a wrong type")
    labels = record.get("labels") if "labels" in fields else None
    if labels is not None and not all(isinstance(value, str) for value in labels.values()):
        raise ValueError(f"{path}: `labels` has a value that is no text")
    return record
