"""The reference describes every phase, reason, field, label, option and variable."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from reconciler.cli.main import COMMANDS
from reconciler.config.settings import OPTIONS
from reconciler.state.phases import PHASES
from tests.docs.pages import DOCS, ROOT

STATUS = DOCS / "reference" / "status.md"
#: Packages whose code gives reasons to conditions, events and failures.
_ROOMS = ("controller", "state", "sources/git", "plan/policy")
_REASON = re.compile(r"[A-Z][A-Za-z]+")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, ROOT / "scripts" / "generate_reference.py", folder], check=True)
    return folder


def test_every_phase_is_described() -> None:
    text = STATUS.read_text()

    assert [phase for phase in PHASES if f"| `{phase}` |" not in text] == []


def test_every_reason_is_described() -> None:
    reasons = find_reasons()
    text = STATUS.read_text()

    assert len(reasons) > 25, "the search finds what it looks for"
    assert sorted(reason for reason in reasons if f"`{reason}`" not in text) == []


def find_reasons() -> set[str]:
    """Texts that the code gives as a ``reason``: arguments, fields, variables, keys, and what functions return."""
    paths = [path for room in _ROOMS for path in (ROOT / "reconciler" / room).rglob("*.py")]
    trees = [ast.parse(path.read_text()) for path in (*paths, ROOT / "reconciler" / "names.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constants = {target.id: value for target, value in assignments(nodes) if isinstance(target, ast.Name)}
    places = {name: place for node in nodes for name, place in reason_places(node)}
    found = {
        text for node in nodes for given in reason_values(node, places) for text in texts(given, constants)
    }
    return {text for text in found if _REASON.fullmatch(text)}


def assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each target with its value; tuples are taken apart."""
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield node.target, node.value
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    yield from zip(target.elts, node.value.elts, strict=False)
                else:
                    yield target, node.value


def reason_places(node: ast.AST) -> Iterator[tuple[str, int]]:
    """The position of the argument ``reason`` of a function or dataclass."""
    names: list[str] = []
    if isinstance(node, ast.FunctionDef):
        names = [argument.arg for argument in node.args.args if argument.arg not in {"self", "cls"}]
    elif isinstance(node, ast.ClassDef):
        names = [
            n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
        ]
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and "reason" in names:
        yield node.name, names.index("reason")


def reason_values(node: ast.AST, places: Mapping[str, int]) -> Iterator[ast.expr]:
    """Expressions that are a reason, or a problem (a reason and a message)."""
    words = {"reason", "problem"}
    if isinstance(node, ast.Call):
        place = places.get(getattr(node.func, "attr", getattr(node.func, "id", "")), len(node.args))
        yield from node.args[place : place + 1]
        yield from (keyword.value for keyword in node.keywords if keyword.arg in words)
    elif isinstance(node, ast.Dict):
        yield from (
            v for k, v in zip(node.keys, node.values, strict=True) if getattr(k, "value", "") == "reason"
        )
    elif isinstance(node, ast.FunctionDef) and "reason" in node.name:
        yield from (n.value for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None)
    yield from (value for target, value in assignments([node]) if getattr(target, "id", "") in words)


def texts(given: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """The texts that an expression may be; of a tuple the first."""
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        yield given.value
    elif isinstance(given, ast.Name | ast.Attribute):
        value = constants.get(given.id if isinstance(given, ast.Name) else given.attr)
        if isinstance(value, ast.Constant):
            yield from texts(value, constants)
    elif isinstance(given, ast.IfExp):
        yield from (text for branch in (given.body, given.orelse) for text in texts(branch, constants))
    elif isinstance(given, ast.Tuple):
        yield from texts(given.elts[0], constants)


def test_every_command_and_setting_is_described(generated: Path) -> None:
    commands, settings = (generated / "commands.md").read_text(), (generated / "settings.md").read_text()

    assert [name for name in COMMANDS if f"### reconciler {name}" not in commands] == []
    assert [option.flag for option in OPTIONS if f"## --{option.flag}\n" not in settings] == []


def test_every_label_and_annotation_is_described() -> None:
    code = """
import generate_reference as g

print(*[name for name, _ in g.label_constants() if not g.describe_constant(name)])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", check=True, capture_output=True, text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )  # fmt: skip

    assert done.stdout.split() == [], "describe them in a comment in reconciler/names.py"


def test_every_field_has_a_row_and_every_note_a_field() -> None:
    code = """
import field_meanings as m, generate_reference as g
from reconciler.api.models.model_fields import get_fields
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob

roots = (TrainJob, TrainingRuntime, ClusterTrainingRuntime)
types = {t.__name__: t for root in roots for t in m.reachable_types(root)}
pages = g.pages()["trainjob.md"]() + g.pages()["runtime.md"]()
for name, model in types.items():
    assert f"## {name}\\n" in pages, name
    for field in get_fields(model):
        assert f"| `{field}`" in pages, (name, field)
plain = {name.removesuffix("Patch"): t for name, t in types.items() if not name.endswith("Patch")}
for name, notes in m.PARTLY.items():
    assert name in plain, name
    assert set(notes) <= set(get_fields(plain[name])), (name, set(notes) - set(get_fields(plain[name])))
"""
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )  # fmt: skip


def test_every_field_that_works_is_read_somewhere() -> None:
    """By its name in a manifest or in the models; whether correctly, other tests hold."""
    code = """
import field_meanings as m, re
from pathlib import Path
from reconciler.api.models.model_fields import get_fields
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob

folders = ("plan", "controller", "engines", "sources", "api/validation", "api/loading")
files = [f for folder in folders for f in (Path("../reconciler") / folder).rglob("*.py")]
words = set(re.findall(r"[A-Za-z_]+", " ".join(f.read_text() for f in files)))
for model in {t for root in (TrainJob, TrainingRuntime, ClusterTrainingRuntime) for t in m.reachable_types(root)}:
    attributes = {info.alias: name for name, info in model.model_fields.items()}
    for field in get_fields(model):
        if m.field_effect(model, field)[0] == "works" and not words & {field, attributes[field]}:
            print(model.__name__, field)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", check=True, capture_output=True, text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )  # fmt: skip

    assert done.stdout.splitlines() == [], "describe them in scripts/field_meanings.py"


def test_every_variable_of_a_plan_is_described(generated: Path) -> None:
    """Those of the built-in runtimes: torch, jax, xgboost, mpi."""
    code = """
import json, re, sys
from reconciler.api import load
from reconciler.sources.runtimes.builtin_runtimes import load_builtin_runtimes
from reconciler.plan.builder import build
from reconciler.plan.plan_json import render_job

for document in load_builtin_runtimes():
    job = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": "x"},
           "spec": {"runtimeRef": {"name": document.name}, "trainer": {"numNodes": 2, "image": "i"}}}
    made = build(load(json.dumps(job).encode(), "x").documents[0].model, document.model)
    for container in render_job(made, lookup=lambda *_: {})["containers"]:
        print(*container["env"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    page = (generated / "names.md").read_text()

    ours = re.compile(r"MASTER_|RANK|WORLD_SIZE|PET_|JAX_|DMLC_|OMPI_|RECONCILER_|STORAGE_|KUBEFLOW_")
    given = {name for name in done.stdout.split() if ours.match(name)}
    assert {
        "KUBEFLOW_TRAINER_SERVER_URL",
        "MASTER_ADDR",
        "PET_NNODES",
        "JAX_PROCESS_ID",
        "DMLC_TASK_ID",
    } <= given
    assert sorted(name for name in given if f"`{name}`" not in page) == []
