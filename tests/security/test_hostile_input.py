"""Input made to harm its reader: rejected in a sentence, quickly, and with little memory."""

from __future__ import annotations

import json
import time

import pytest

from reconciler.api import TrainJob, check, load
from reconciler.common.sanitize import sanitize_line, sanitize_output, sanitize_text
from reconciler.errors import PlanError
from reconciler.plan.builder import build
from reconciler.sources.runtimes.builtin_runtimes import load_builtin_runtimes

JOB = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: a}\nspec:\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
HOSTILE = {
    "alias bomb": BOMB,
    "alias bomb of texts": "a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 2000) + "]\n",
    "merge bomb": "a0: &a0 {k: v}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}], k{n}: v}}\n" for n in range(1, 12)),
    "anchor in itself": "a: &a [*a]\n",
    "depth": "[" * 50_000,
    "depth closed": "[" * 5_000 + "]" * 5_000,
    "depth of JSON": json.dumps(json.loads("[" * 900 + "]" * 900)),
    "depth by indentation": "".join("  " * n + "a:\n" for n in range(500)),
    "documents": "a: b\n---\n" * 20_000,
    "keys": "".join(f"k{n}: v\n" for n in range(150_000)),
    "a long text": "a: " + "x" * 9_000_000,
    "a long number": JOB + "  trainer: {numNodes: " + "9" * 100_000 + "}\n",
    "an exponent": JOB + "  trainer: {resourcesPerNode: {limits: {memory: 1e999999999}}}\n",
    "a python object": "a: !!python/object/apply:os.system [id]\n",
    "binary": "\x00\x01\x02",
    "tags": "a: !<tag:yaml.org,2002:python/name:os.system> x\n",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_file_is_rejected_quickly(name: str) -> None:
    begin = time.process_time()

    loaded = load(HOSTILE[name].encode(), "bad.yaml")
    faults = [*loaded.faults, *(f for d in loaded.documents for f in d.faults)]
    faults += check(loaded.documents)

    assert any(fault.severity == "error" for fault in faults)
    assert all(len(fault.message) < 10_000 for fault in faults)
    assert time.process_time() - begin < 20, "seconds of the processor, on a slow machine"


def test_file_of_document_markers_is_empty() -> None:
    begin = time.process_time()

    assert load(b"---\n" * 500_000, "empty.yaml").documents == ()
    assert time.process_time() - begin < 20


@pytest.mark.parametrize(
    "name", ["../../etc/x", "a/b", "a\\nb", "a.b", "-a", "A", "a b", "$(id)", "a;b", "x" * 64, "\\u0000", ""]
)
def test_invalid_name_is_rejected(name: str) -> None:
    loaded = load(
        JOB.replace("name: a", f'name: "{name}"') + "  runtimeRef: {name: torch-distributed}\n", "x"
    )

    faults = [*loaded.faults, *(f for d in loaded.documents for f in d.faults)]

    assert any(fault.severity == "error" for fault in faults)


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("trainer: {env: [{name: 'A=B', value: x}]}", "spec.trainer.env[0].name"),
        ('trainer: {env: [{name: "A\\nB", value: x}]}', "spec.trainer.env[0].name"),
        (
            "trainer: {env: [{name: MASTER_ADDR, value: 6.6.6.6}, {name: PET_NNODES, value: '9'}]}",
            "spec.trainer.env",
        ),
    ],
)
def test_reserved_and_malformed_variables_are_rejected(field: str, path: str) -> None:
    loaded = load(JOB + f"  runtimeRef: {{name: torch-distributed}}\n  {field}\n", "x")

    faults = [f for d in loaded.documents for f in d.faults] + check(
        loaded.documents, runtimes=load_builtin_runtimes()
    )

    assert any(fault.path.startswith(path) for fault in faults if fault.severity == "error")


def test_job_of_two_billion_nodes_is_rejected_cheaply() -> None:
    text = JOB + "  runtimeRef: {name: torch-distributed}\n  trainer: {numNodes: 2000000000}\n"
    (document,) = load(text, "x").documents
    runtime = next(r for r in load_builtin_runtimes() if r.name == "torch-distributed")
    assert isinstance(document.model, TrainJob)

    with pytest.raises(PlanError, match="4,096 at most"):
        build(document.model, runtime.model)  # type: ignore[arg-type]


EVIL = "\x1b]0;owned\x07\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\x1bP$q\x1b\\\x1b[6n\u202egnp.exe\r"


def test_foreign_text_cannot_control_a_terminal() -> None:
    shown = sanitize_text(EVIL)

    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c == "\u202e" for c in shown)
    assert "␛]0;owned␇" in shown


def test_foreign_line_stays_one_encodable_line() -> None:
    shown = sanitize_line("a\tb\nc\u2028d\ud800" + EVIL)

    assert shown.startswith("a␉b␊c\ufffdd\ufffd␛")
    assert shown.encode()
    assert len(shown.splitlines()) == 1


def test_container_output_keeps_only_colours_and_progress_bars() -> None:
    raw = b"\x1b[1;31mred\x1b[0m 50%\r\x1b[K100%\n" + EVIL.encode()

    shown = sanitize_output(raw)

    assert shown.startswith(b"\x1b[1;31mred\x1b[0m 50%\r\x1b[K100%\n")
    assert b"\x1b]" not in shown
    assert b"\x1b[2J" not in shown
    assert b"\x1b[6n" not in shown
    assert b"\x07" not in shown
