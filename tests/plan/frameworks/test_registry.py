"""The list of framework plugins."""

from __future__ import annotations

from reconciler.api.framework_names import FRAMEWORKS
from reconciler.plan.frameworks.registry import PLUGINS


def test_every_framework_has_a_plugin_of_its_name() -> None:
    assert PLUGINS.keys() == set(FRAMEWORKS)
