"""Turns a training function into a program for a container, or says why that is impossible.

The container gets the source of the function and a call of it, nothing else: no module around it, no
variables it was defined with. What would fail there raises here, where its author is. What can go wrong all
the same: a name that exists only under some condition; such names cause a warning, not an error.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import functools
import inspect
import re
import textwrap
import types
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

from reconciler.client.client_errors import FunctionSourceError

_ADVICE: Final = (
    "Write it as a function of its own (def train(): ...) in a file or a notebook's cell, "
    "import what it uses inside it, and pass values by func_args."
)
_MODULE_NAMES: Final = frozenset({"__name__", "__file__", "__doc__", "__builtins__", "__annotations__"})
#: Put before a function whose annotations use names that only its own file has.
_FUTURE_ANNOTATIONS: Final = "from __future__ import annotations\n\n"
#: A file name that needs no quoting in the script.
_PLAIN_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.py")


@dataclass(frozen=True, kw_only=True)
class FunctionProgram:
    """The program that runs in the container.

    Attributes:
        code: the function and its call.
        file_name: of the file it is written to.
    """

    code: str
    file_name: str


def build_program(func: Any, arguments: Mapping[str, Any] | None) -> FunctionProgram:
    """Returns the program that calls ``func`` with ``arguments``.

    Args:
        func: defined by ``def``, using nothing from outside itself.
        arguments: its keyword arguments; None for none.

    Raises:
        FunctionSourceError: the function cannot be sent; the message says why, and what to do.
    """
    func = _plain_function(func)
    source = _source(func)
    _check_source(func, source)
    _check_arguments(func, arguments)
    call = f"{func.__name__}()" if arguments is None else f"{func.__name__}(**{dict(arguments)!r})"
    code = f"{source}\n{call}\n"
    missing = _missing_names(code)
    if _has_postponed_annotations(func) or missing != _missing_names(_FUTURE_ANNOTATIONS + code):
        code = _FUTURE_ANNOTATIONS + code
        missing = _missing_names(code)
    _warn_of_missing_names(func, missing)
    return FunctionProgram(code=code, file_name=_file_name(func))


def _plain_function(func: Any) -> types.FunctionType:
    if isinstance(func, functools.partial):
        raise _error("functools.partial(...) has no source of its own", "Pass the values by func_args.")
    if inspect.ismethod(func):
        raise _error(f"{func.__qualname__} is a method: its object stays here")
    if not isinstance(func, types.FunctionType):
        kind = f"a {type(func).__name__}" if callable(func) else f"a {type(func).__name__}, not a function"
        raise _error(f"{func!r} is {kind}, which has no source that could be sent to a container")
    if func.__name__ == "<lambda>":
        raise _error("a lambda is an expression inside other source, which cannot be cut out")
    if hasattr(func, "__wrapped__"):
        raise _error(
            f"{func.__name__} is decorated, and the decorator's result stays here",
            "Train with the plain function, and call the decorator inside it.",
        )
    if func.__closure__:
        names = ", ".join(func.__code__.co_freevars)
        raise _error(
            f"{func.__name__} is a closure: it uses {names} of the function around it, which stays here",
            f"Make {names} parameter(s) of {func.__name__} and pass the values by func_args.",
        )
    if inspect.iscoroutinefunction(func):
        raise _error(
            f"{func.__name__} is async: calling it would run nothing",
            "Write a plain function that calls asyncio.run(...) inside.",
        )
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise _error(f"{func.__name__} is a generator: calling it would run nothing", "Remove yield.")
    return func


def _source(func: types.FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(func))
    except (OSError, TypeError):
        where = func.__code__.co_filename
        raise _error(
            f"the source of {func.__name__} is not to be found ({where}): "
            "it was typed at a prompt, created by exec(), or its file is gone",
            "Put the function into a file (or a Jupyter notebook's cell) and run that.",
        ) from None


def _check_source(func: types.FunctionType, source: str) -> None:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise _error(
            f"the source of {func.__name__} does not stand by itself ({error.msg}, its line {error.lineno})",
            "Define it at the top level of a file.",
        ) from None
    definition = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(definition, ast.FunctionDef) or definition.name != func.__name__:
        raise _error(f"the source of {func.__name__} is not a def of that name", _ADVICE)
    if definition.decorator_list:
        names = ", ".join("@" + ast.unparse(decorator) for decorator in definition.decorator_list)
        raise _error(
            f"{func.__name__} is decorated ({names}), and decorators are not sent along",
            "Train with the plain function, and call the decorator inside it.",
        )


def _has_postponed_annotations(func: types.FunctionType) -> bool:
    """Whether its own file does not evaluate annotations; the container does not either then."""
    return bool(func.__code__.co_flags & __future__.annotations.compiler_flag)


def _check_arguments(func: types.FunctionType, arguments: Any) -> None:
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping) or not all(isinstance(key, str) for key in arguments):
        raise FunctionSourceError(
            f"func_args must be a dictionary of {func.__name__}'s keyword arguments, not {arguments!r}."
        )
    others = [name for name, value in arguments.items() if not _is_literal(value)]
    if others:
        shown = ", ".join(f"{name} (a {type(arguments[name]).__name__})" for name in others)
        raise FunctionSourceError(
            f"func_args do not survive being written as source: {shown}.",
            remedy="Pass numbers, texts, booleans, None, and lists, tuples, sets and dictionaries of them; "
            f"make everything else inside {func.__name__}.",
        )
    try:
        inspect.signature(func).bind(**arguments)
    except TypeError as error:
        raise FunctionSourceError(
            f"{func.__name__} cannot be called with these func_args: {error}.",
            remedy=f"It is {func.__name__}{inspect.signature(func)}.",
        ) from None


def _is_literal(value: Any) -> bool:
    """Whether parsing the value's repr() gives the value again, types included."""
    try:
        parsed = ast.literal_eval(repr(value))
        return bool(parsed == value) and _same_types(parsed, value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False


def _same_types(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return _same_types(list(one.items()), list(other.items()))
    if isinstance(one, (list, tuple)):
        return all(map(_same_types, one, other))
    return True


def _warn_of_missing_names(func: types.FunctionType, missing: set[str]) -> None:
    if missing:
        warnings.warn(
            f"{func.__name__} uses {', '.join(sorted(missing))} from outside itself, which the container "
            "will not have: import and define it inside the function, or pass it by func_args.",
            UserWarning,
            stacklevel=2,
        )


def _missing_names(code: str) -> set[str]:
    """Global names that are loaded somewhere and stored nowhere."""
    loaded: set[str] = set()
    stored = set(vars(builtins)) | _MODULE_NAMES
    for part in _walk_code(compile(code, "<training function>", "exec", dont_inherit=True)):
        for instruction in dis.get_instructions(part):
            if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
                loaded.add(str(instruction.argval))
            elif instruction.opname in {"STORE_GLOBAL", "STORE_NAME"}:
                stored.add(str(instruction.argval))
    return loaded - stored


def _walk_code(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _walk_code(constant)


def _file_name(func: types.FunctionType) -> str:
    """Upstream's choice, the function's own file; ``train.py`` where that has no plain name (``<stdin>``)."""
    name = PurePath(inspect.getfile(func)).name
    return name if _PLAIN_FILE_NAME.fullmatch(name) else "train.py"


def _error(why: str, remedy: str = _ADVICE) -> FunctionSourceError:
    return FunctionSourceError(f"This function cannot be sent to a container: {why}.", remedy=remedy)
