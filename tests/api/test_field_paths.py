"""Field paths as Kubernetes prints them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.api.field_paths import parse, render


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "trainer", "env", 0, "name"), "spec.trainer.env[0].name"),
        (("metadata", "labels", "acme.io/team"), "metadata.labels[acme.io/team]"),
        (("limits", "nvidia.com/gpu"), "limits[nvidia.com/gpu]"),
        (("limits", "ephemeral-storage"), "limits.ephemeral-storage"),
    ],
)
def test_a_path_and_its_text(path, text):
    assert render(path) == text
    assert parse(text) == path


_names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]*", fullmatch=True)
_keys = st.from_regex(r"[a-z]+\.[a-z]+/[a-z]+", fullmatch=True)


@given(st.lists(_names | _keys | st.integers(min_value=0, max_value=10**6)).map(tuple))
def test_parsing_takes_back_what_was_rendered(path):
    assert parse(render(path)) == path
