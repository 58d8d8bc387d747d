"""The public API of a package as data: names, fields, defaults, parameters.

Usage: public_api.py PACKAGE; PACKAGE is ``reconciler.client`` or ``kubeflow.trainer``.
"""

import dataclasses
import enum
import importlib
import inspect
import json
import sys

MODULES = ("", ".options", ".options.kubernetes", ".types.types", ".constants.constants",
           ".backends.container.types")  # fmt: skip


def parameters(function):
    """Name, kind and default of each."""
    found = inspect.signature(function).parameters.values()
    return [[p.name, p.kind.name, "" if p.default is p.empty else repr(p.default)] for p in found]


def describe(value):
    """Everything that a user's code may depend on."""
    if not inspect.isclass(value):
        return {"call": parameters(value)} if inspect.isfunction(value) else {"value": repr(value)}
    if issubclass(value, enum.Enum):
        return {"members": {member.name: member.value for member in value}}
    methods = inspect.getmembers(value, inspect.isfunction)
    return {
        "init": [p for p in parameters(value) if "factory" not in p[2]],
        "fields": [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else [],
        "methods": {name: parameters(method) for name, method in methods if not name.startswith("_")},
        "properties": [n for n, m in inspect.getmembers(value) if isinstance(m, property) and n[0] != "_"],
    }


def describe_package(package):
    """Descriptions by module and name."""
    found = {}
    for module in MODULES:
        loaded = importlib.import_module(package + module)
        names = getattr(loaded, "__all__", None) or [n for n in dir(loaded) if not n.startswith("_")]
        values = {name: getattr(loaded, name) for name in names}
        home = package.partition(".")[0]
        found[module] = {
            name: describe(value)
            for name, value in values.items()
            if not inspect.ismodule(value)
            and getattr(value, "__module__", home).startswith(home)
            and name not in ("RuntimeBackend", "BaseInitializer")
        }
    return found


if __name__ == "__main__":
    print("API " + json.dumps(describe_package(sys.argv[1])))
