"""A training function as source: what can be sent to a container, and why something cannot.

The container gets the text of the function and a call of it, nothing else: no module around it, no variables
it was made with. What would break there is refused here, where its author is. What can go wrong all the same:
a name that exists only under some condition; such names are warned of, not refused.
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

from reconciler.client.client_errors import FunctionNotShippable

_ADVICE: Final = (
    "Write it as a function of its own (def train(): ...) in a file or a notebook's cell, "
    "import what it uses inside it, and pass values by func_args."
)
_MODULE_NAMES: Final = frozenset({"__name__", "__file__", "__doc__", "__builtins__", "__annotations__"})
#: Put before a function whose annotations name what only its own file has.
_LAZILY: Final = "from __future__ import annotations\n\n"
#: A file name that needs no quoting in the script.
_PLAIN_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.py")


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What goes into the container.

    Attributes:
        code: the function and its call.
        file: name of the file it is written to.
    """

    code: str
    file: str


def ship(func: Any, arguments: Mapping[str, Any] | None) -> Shipped:
    """The program that calls ``func`` with ``arguments``.

    Args:
        func: defined by ``def``, using nothing from outside itself.
        arguments: its keyword arguments; None for none.

    Raises:
        FunctionNotShippable: the message says why, and what to do.
    """
    func = _plain_function(func)
    source = _source(func)
    _check_source(func, source)
    _check_arguments(func, arguments)
    call = f"{func.__name__}()" if arguments is None else f"{func.__name__}(**{dict(arguments)!r})"
    code = f"{source}\n{call}\n"
    missing = _missing_names(code)
    if _is_lazy(func) or missing != _missing_names(_LAZILY + code):
        code = _LAZILY + code
        missing = _missing_names(code)
    _warn_of_missing_names(func, missing)
    return Shipped(code=code, file=_file_name(func))


def _plain_function(func: Any) -> types.FunctionType:
    if isinstance(func, functools.partial):
        raise _refused("functools.partial(...) has no source of its own", "Pass the values by func_args.")
    if inspect.ismethod(func):
        raise _refused(f"{func.__qualname__} is a method: its object stays here")
    if not isinstance(func, types.FunctionType):
        kind = f"a {type(func).__name__}" if callable(func) else f"a {type(func).__name__}, not a function"
        raise _refused(f"{func!r} is {kind}, which has no source that could be sent to a container")
    if func.__name__ == "<lambda>":
        raise _refused("a lambda is an expression inside other source, which cannot be cut out")
    if hasattr(func, "__wrapped__"):
        raise _refused(
            f"{func.__name__} is decorated, and what its decorator made of it stays here",
            "Train with the plain function, and call the decorator inside it.",
        )
    if func.__closure__:
        names = ", ".join(func.__code__.co_freevars)
        raise _refused(
            f"{func.__name__} is a closure: it uses {names} of the function around it, which stays here",
            f"Make {names} parameter(s) of {func.__name__} and pass the values by func_args.",
        )
    if inspect.iscoroutinefunction(func):
        raise _refused(
            f"{func.__name__} is async: calling it would run nothing",
            "Write a plain function that calls asyncio.run(...) inside.",
        )
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise _refused(f"{func.__name__} is a generator: calling it would run nothing", "Remove yield.")
    return func


def _source(func: types.FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(func))
    except (OSError, TypeError):
        where = func.__code__.co_filename
        raise _refused(
            f"the source of {func.__name__} is not to be found ({where}): "
            "it was typed at a prompt, made by exec(), or its file is gone",
            "Put the function into a file (or a Jupyter notebook's cell) and run that.",
        ) from None


def _check_source(func: types.FunctionType, source: str) -> None:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise _refused(
            f"the source of {func.__name__} does not stand by itself ({error.msg}, its line {error.lineno})",
            "Define it at the top level of a file.",
        ) from None
    definition = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(definition, ast.FunctionDef) or definition.name != func.__name__:
        raise _refused(f"the source of {func.__name__} is not a def of that name", _ADVICE)
    if definition.decorator_list:
        names = ", ".join("@" + ast.unparse(decorator) for decorator in definition.decorator_list)
        raise _refused(
            f"{func.__name__} is decorated ({names}), and decorators are not sent along",
            "Train with the plain function, and call the decorator inside it.",
        )


def _is_lazy(func: types.FunctionType) -> bool:
    """Annotations that its own file does not evaluate are not evaluated in the container either."""
    return bool(func.__code__.co_flags & __future__.annotations.compiler_flag)


def _check_arguments(func: types.FunctionType, arguments: Any) -> None:
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping) or not all(isinstance(key, str) for key in arguments):
        raise FunctionNotShippable(
            f"func_args must be a dictionary of {func.__name__}'s keyword arguments, not {arguments!r}."
        )
    lost = [name for name, value in arguments.items() if not _survives(value)]
    if lost:
        shown = ", ".join(f"{name} (a {type(arguments[name]).__name__})" for name in lost)
        raise FunctionNotShippable(
            f"func_args do not survive being written as source: {shown}.",
            remedy="Pass numbers, texts, booleans, None, and lists, tuples, sets and dictionaries of them; "
            f"make everything else inside {func.__name__}.",
        )
    try:
        inspect.signature(func).bind(**arguments)
    except TypeError as error:
        raise FunctionNotShippable(
            f"{func.__name__} cannot be called with these func_args: {error}.",
            remedy=f"It is {func.__name__}{inspect.signature(func)}.",
        ) from None


def _survives(value: Any) -> bool:
    """Whether reading the value's text gives the value again, types included."""
    try:
        read = ast.literal_eval(repr(value))
        return bool(read == value) and _same_types(read, value)
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
    """Global names that are read somewhere and made nowhere."""
    read: set[str] = set()
    made = set(vars(builtins)) | _MODULE_NAMES
    for part in _codes(compile(code, "<training function>", "exec", dont_inherit=True)):
        for instruction in dis.get_instructions(part):
            if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
                read.add(str(instruction.argval))
            elif instruction.opname in {"STORE_GLOBAL", "STORE_NAME"}:
                made.add(str(instruction.argval))
    return read - made


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _file_name(func: types.FunctionType) -> str:
    """Upstream's: the file that the function is from; a plain one where that is none (``<stdin>``)."""
    name = PurePath(inspect.getfile(func)).name
    return name if _PLAIN_FILE.fullmatch(name) else "train.py"


def _refused(why: str, remedy: str = _ADVICE) -> FunctionNotShippable:
    return FunctionNotShippable(f"This function cannot be sent to a container: {why}.", remedy=remedy)
