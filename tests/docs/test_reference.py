"""The reference has everything there is: phases, reasons, fields, labels, options, variables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.main import COMMANDS
from reconciler.config.options import OPTIONS
from reconciler.state.sidecar_reader import PHASES
from tests.docs.pages import DOCS, ROOT

STATUS = DOCS / "reference" / "status.md"
#: Where reasons are given; the first text in capitals of a call, or a constant of that kind.
_CALLS = re.compile(
    r"(?:with_event|with_condition|fail|trouble)\(\s*(?:\w+,\s*)?(?:\"\w+\",\s*\"\w+\",\s*)?\"([A-Z][A-Za-z]+)\""
    r"|problem=\(\"([A-Z]\w+)\""
    r"|reason\s*=\s*\"([A-Z]\w+)\""
    r"|return \"([A-Z]\w+(?:Taken|Missing|Error))\""
    r"|_Kind\(\s*r\"[^\"]*\"(?:\s*r\"[^\"]*\")*,\s*\"([A-Z]\w+)\""
    r"|^(?:REASON|SUCCEEDED|PROGRESSING|STALLED|ALONE|BACKOFF_EXCEEDED|DEADLINE_EXCEEDED|POD_FAILURE_POLICY|IMAGE_PROBLEM|RUNTIME_NOT_SUPPORTED)"
    r"(?:: Final)? = \"(\w+)\"",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated pages."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, ROOT / "scripts" / "generate_reference.py", folder], check=True)
    return folder


def test_every_phase_is_told_of() -> None:
    text = STATUS.read_text()

    assert [phase for phase in PHASES if f"| `{phase}` |" not in text] == []


def test_every_reason_is_told_of() -> None:
    sources = [
        *(ROOT / "reconciler" / "controller").glob("*.py"),
        *(ROOT / "reconciler" / "status").glob("*.py"),
        *(ROOT / "reconciler" / "sources").glob("git*.py"),
        ROOT / "reconciler" / "plan" / "policing.py",
    ]
    sources.append(ROOT / "reconciler" / "names.py")
    given = {name for path in sources for found in _CALLS.findall(path.read_text()) for name in found if name}
    text = STATUS.read_text()

    assert len(given) > 25, "the pattern finds what it looks for"
    assert sorted(reason for reason in given if f"`{reason}`" not in text) == []


def test_every_command_and_setting_has_a_place(generated: Path) -> None:
    commands, settings = (generated / "commands.md").read_text(), (generated / "settings.md").read_text()

    assert [name for name in COMMANDS if f"### reconciler {name}" not in commands] == []
    assert [option.flag for option in OPTIONS if f"## --{option.flag}\n" not in settings] == []


def test_every_label_and_annotation_is_described() -> None:
    code = """
import generate_reference as g

print(*[name for name, _ in g.marks() if not g.describe(name)])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", check=True, capture_output=True, text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )  # fmt: skip

    assert done.stdout.split() == [], "say in scripts/generate_reference.py (MARKS) what they are for"


def test_every_field_has_a_row_and_every_remark_a_field() -> None:
    code = """
import field_meanings as m, generate_reference as g
from reconciler.api.models.model_fields import fields_of
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob

roots = (TrainJob, TrainingRuntime, ClusterTrainingRuntime)
types = {t.__name__: t for root in roots for t in m.reachable(root)}
pages = g.pages()["trainjob.md"]() + g.pages()["runtime.md"]()
for name, model in types.items():
    assert f"## {name}\\n" in pages, name
    for field in fields_of(model):
        assert f"| `{field}`" in pages, (name, field)
plain = {name.removesuffix("Patch"): t for name, t in types.items() if not name.endswith("Patch")}
for name, remarks in m.PARTLY.items():
    assert name in plain, name
    assert set(remarks) <= set(fields_of(plain[name])), (name, set(remarks) - set(fields_of(plain[name])))
"""
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", check=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )  # fmt: skip


def test_a_field_that_is_said_to_work_is_read_somewhere() -> None:
    """By its name in a manifest or in the models; whether rightly, other tests say."""
    code = """
import field_meanings as m, re
from pathlib import Path
from reconciler.api.models.model_fields import fields_of
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob

folders = ("plan", "controller", "engines", "sources", "status", "api/rules")
files = [f for folder in folders for f in (Path("../reconciler") / folder).rglob("*.py")]
files += [Path(f"../reconciler/api/{name}.py") for name in ("objects", "admission", "composing", "updates", "steps")]
words = set(re.findall(r"[A-Za-z_]+", " ".join(f.read_text() for f in files)))
for model in {t for root in (TrainJob, TrainingRuntime, ClusterTrainingRuntime) for t in m.reachable(root)}:
    attributes = {info.alias: name for name, info in model.model_fields.items()}
    for field in fields_of(model):
        if m.meaning(model, field)[0] == "works" and not words & {field, attributes[field]}:
            print(model.__name__, field)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", check=True, capture_output=True, text=True,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )  # fmt: skip

    assert done.stdout.splitlines() == [], "say in scripts/field_meanings.py what they mean here"


def test_every_variable_of_a_plan_is_told_of(generated: Path) -> None:
    """torch, jax, xgboost and mpi set what the page says."""
    code = """
import json, re, sys
from reconciler.api import load
from reconciler.sources.runtimes.builtin_runtimes import builtin_runtimes
from reconciler.plan import build
from reconciler.plan.plan_json import render_job

for document in builtin_runtimes():
    job = {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": {"name": "x"},
           "spec": {"runtimeRef": {"name": document.name}, "trainer": {"numNodes": 2, "image": "i"}}}
    made = build(load(json.dumps(job).encode(), "x").documents[0].model, document.model)
    for container in render_job(made, lookup=lambda *_: {})["containers"]:
        print(*container["env"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    page = (generated / "names.md").read_text()

    told = re.compile(r"MASTER_|RANK|WORLD_SIZE|PET_|JAX_|DMLC_|OMPI_|RECONCILER_|STORAGE_|KUBEFLOW_")
    given = {name for name in done.stdout.split() if told.match(name)}
    assert {
        "KUBEFLOW_TRAINER_SERVER_URL",
        "MASTER_ADDR",
        "PET_NNODES",
        "JAX_PROCESS_ID",
        "DMLC_TASK_ID",
    } <= given
    assert sorted(name for name in given if f"`{name}`" not in page) == []
