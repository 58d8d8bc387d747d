"""YAML that is dumped is read back unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.api import dump, load
from reconciler.api.loading.yaml_composer import compose
from tests.api.manifests import trainjob


@pytest.mark.parametrize(
    "text", ["y", "no", "1e-4", "0o17", "017", "1_000", "~", "", "null", "1:30", "2026-01-31", "a: b", "#", " x ", "a\nb\n", "\n", "\t", "é\N{ROCKET}"]
)  # fmt: skip
def test_a_string_stays_a_string(text):
    # Act
    (found,) = load(dump(trainjob(trainer={"env": [{"name": "A", "value": text}]})).encode(), "f").documents

    # Assert
    assert found.faults == ()
    assert found.model.spec.trainer.env[0].value == text


def test_no_aliases_are_written():
    shared = {"cpu": "1"}
    assert "*" not in dump({"limits": shared, "requests": shared})


_text = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=20
)
_data = st.recursive(
    st.booleans() | st.integers(min_value=-(2**63), max_value=2**63 - 1) | _text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_text.filter(lambda key: key != "<<"), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(_data)
def test_any_data_is_read_back(value):
    (found,) = compose(dump({"x": value}))
    assert not found.rejected, found.faults
    assert found.value == {"x": value}
