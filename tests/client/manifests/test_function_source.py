"""Which functions and arguments can be sent to a container, and the errors for others."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.client.client_errors import FunctionSourceError
from reconciler.client.manifests.function_source import build_program

SCALE = 3


def plain() -> None:
    """Docstring."""
    print("plain ran")


def with_arguments(lr: float, *, epochs: int = 1, **more: Any) -> None:
    print(f"lr={lr} epochs={epochs} more={more}")


def uses_a_global() -> None:
    print(SCALE * math.pi)


def imports_inside() -> None:
    import math as mathematics  # noqa: PLC0415  (as a training function must)

    values = [mathematics.sqrt(x) for x in range(3)]
    print(values)


async def asynchronous() -> None:
    await asyncio.sleep(0)


def generating() -> Any:
    yield 1


@functools.cache
def decorated() -> None:
    print("decorated")


class Trainer:
    def method(self) -> None:
        print("method")

    def __call__(self) -> None:
        print("called")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_code_is_the_function_and_its_call() -> None:
    program = build_program(plain, None)

    assert program.code.endswith("\nplain()\n")
    assert program.file_name == "test_function_source.py"
    assert run(program.code) == "plain ran\n"


def test_arguments_are_written_into_the_call() -> None:
    arguments = {"lr": 0.1, "epochs": 2, "names": ["a'b", 'c"d'], "nested": {"t": (1, None), "b": b"\x00"}}

    program = build_program(with_arguments, arguments)

    more = {"names": arguments["names"], "nested": arguments["nested"]}
    assert run(program.code) == f"lr=0.1 epochs=2 more={more}\n"


def test_nested_function_is_dedented() -> None:
    def inner() -> None:
        print("inner ran")

    assert run(build_program(inner, None).code) == "inner ran\n"


def test_function_with_its_own_imports_causes_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        build_program(imports_inside, None)


def test_names_from_outside_cause_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"uses_a_global uses SCALE, math from outside itself"):
        build_program(uses_a_global, None)


EAGER = """\
import functools
from pathlib import Path

def hinted(path: Path | None = None) -> Path | None:
    def inside(other: Path | None) -> None:
        print("hinted ran")
    inside(path)

def hinted_and_more() -> None:
    at: Path = Path()
    print(at)

def trace(func):
    @functools.wraps(func)
    def traced(*arguments):
        return func(*arguments)
    return traced

@trace
def wrapped() -> None:
    print("ran")
"""


@pytest.fixture
def eager(tmp_path: Path) -> Any:
    """A module whose annotations are evaluated, unlike this one's."""
    path = tmp_path / "eager_functions.py"
    path.write_text(EAGER)
    specification = importlib.util.spec_from_file_location("eager_functions", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_annotations_may_use_names_of_the_functions_file(eager: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = build_program(eager.hinted, None)

    done = subprocess.run([sys.executable, "-c", program.code], capture_output=True, text=True, check=False)
    assert done.stdout == "hinted ran\n", done.stderr
    with pytest.warns(UserWarning, match="hinted_and_more uses Path from outside itself"):
        build_program(eager.hinted_and_more, None)


def test_wrapped_function_is_refused_as_decorated(eager: Any) -> None:
    with pytest.raises(FunctionSourceError, match="wrapped is decorated"):
        build_program(eager.wrapped, None)


def make_closure() -> Callable[[], None]:
    value = 1

    def closure() -> None:
        print(value)

    return closure


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (lambda: None, "a lambda"),
        (make_closure(), "closure is a closure: it uses value"),
        (functools.partial(with_arguments, lr=1), "functools.partial"),
        (Trainer().method, "Trainer.method is a method"),
        (Trainer(), "a Trainer"),
        (print, "a builtin_function_or_method"),
        ("train.py", "a str, not a function"),
        (asynchronous, "asynchronous is async"),
        (generating, "generating is a generator"),
        (Trainer, "a type"),
    ],
)
def test_other_callables_are_refused_with_reason_and_remedy(func: Any, message: str) -> None:
    with pytest.raises(FunctionSourceError) as caught:
        build_program(func, None)

    assert message in caught.value.message
    assert caught.value.remedy
    assert isinstance(caught.value, ValueError)


def test_decorated_function_is_refused() -> None:
    wrapped = decorated.__wrapped__

    with pytest.raises(FunctionSourceError, match=r"decorated \(@functools.cache\)"):
        build_program(wrapped, None)


@pytest.mark.parametrize("option", ["-c", "-"])
def test_function_typed_at_a_prompt_is_refused(option: str) -> None:
    program = (
        "from reconciler.client.manifests.function_source import build_program\n"
        "def typed():\n    print(1)\n"
        "try:\n    build_program(typed, None)\nexcept ValueError as error:\n    print(error)\n"
    )
    arguments = [sys.executable, "-c", program] if option == "-c" else [sys.executable, "-"]

    done = subprocess.run(arguments, input=program, capture_output=True, text=True, check=True)

    assert "the source of typed is not to be found" in done.stdout
    assert "Put the function into a file" in done.stdout


def test_function_without_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gone.py"
    namespace: dict[str, Any] = {}
    exec(compile("def lost():\n    pass\n", str(path), "exec"), namespace)

    with pytest.raises(FunctionSourceError, match=r"gone\.py"):
        build_program(namespace["lost"], None)


@pytest.mark.parametrize(
    "value", [object(), Path("/x"), float("nan"), math.inf, print, {"a": Trainer()}, range(3)]
)
def test_arguments_that_are_no_literals_are_named(value: Any) -> None:
    with pytest.raises(FunctionSourceError, match=r"bad \(a \w+\)") as caught:
        build_program(with_arguments, {"lr": 1, "bad": value})

    assert "lists, tuples" in caught.value.remedy


def test_subclass_of_a_literal_type_is_refused() -> None:
    class Level(int):
        """Reads back as an int."""

    with pytest.raises(FunctionSourceError, match=r"lr \(a Level\)"):
        build_program(with_arguments, {"lr": Level(3)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 1}, "missing a required argument: 'lr'"),
        ({1: 2}, "must be a dictionary"),
        ([1], "must be a dictionary"),
    ],
)
def test_arguments_must_match_the_signature(arguments: Any, message: str) -> None:
    with pytest.raises(FunctionSourceError, match=message):
        build_program(with_arguments, arguments)


plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def accepts(value: Any = None) -> None:
    print(value)


@given(value=plain_data)
def test_plain_data_arrives_unchanged(value: Any) -> None:
    code = build_program(accepts, {"value": value}).code

    seen: list[Any] = []
    exec(code.replace("print(value)", "seen.append(value)"), {"seen": seen, "Any": Any})
    assert seen == [value]
    assert repr(seen) == repr([value])
