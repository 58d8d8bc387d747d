"""kubectl's templates: the expressions of its documentation, and what is wrong in others."""

from __future__ import annotations

import pytest

from reconciler.cli.jsonpath import Template, TemplateError

DATA = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "a", "labels": {"x.y/z": "1"}},
            "status": {
                "phase": "Running",
                "nodes": [{"rank": 0, "exitCode": None}, {"rank": 1, "exitCode": 3}],
            },
        },
        {"metadata": {"name": "b"}, "status": {"phase": "Failed", "nodes": []}},
    ],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.kind}", "List"),
        ("{kind}", "List"),
        (".kind", "List"),
        ("{@.kind} of {$.items[0].metadata.name}", "List of a"),
        ("{.items[*].metadata.name}", "a b"),
        ("{.items.*.metadata.name}", "a b"),
        ("{.items[*]['metadata']['name']}", "a b"),
        ("{.items[-1:].metadata.name}", "b"),
        ("{.items[:1].metadata.name}", "a"),
        ("{.items[0,1].metadata.name}", "a b"),
        ("{.items[0].metadata['name','labels']}", 'a {"x.y/z": "1"}'),
        ("{..rank}", "0 1"),
        (r"{.items[0].metadata.labels.x\.y/z}", "1"),
        ('{.items[?(@.status.phase=="Failed")].metadata.name}', "b"),
        ("{.items[?(@.status.phase!='Failed')].metadata.name}", "a"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        ("{.items[0].status.nodes[?(@.exitCode>2)].rank}", "1"),
        ("{.missing.deeply[3].x}", ""),
        ("{.items[0].status.nodes[0].exitCode}", ""),
        (r'{range .items[*]}{.metadata.name}{"\t"}{.status.phase}{"\n"}{end}', "a\tRunning\nb\tFailed\n"),
        ("{range .items[*]}{.metadata.name}:{range .status.nodes[*]}{.rank},{end} {end}", "a:0,1, b: "),
        ("no braces", "no braces"),
    ],
)
def test_templates(template, text):
    assert Template(template).render(DATA) == text


@pytest.mark.parametrize(
    "template",
    ["{", "{.a", "{.items[}", "{.items[x]}", "{end}", "{range .items[*]}", "{.a[?(@.b==)]}", '{"a}'],
)
def test_wrong_templates(template):
    with pytest.raises(TemplateError):
        Template(template)
