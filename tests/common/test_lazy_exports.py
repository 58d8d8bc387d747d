"""Packages that import their public names when first used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

PACKAGES = {
    "reconciler.api": {"pydantic", "yaml"},
    "reconciler.client": {"pydantic", "docker"},
}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_can_be_imported(package):
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize(("package", "slow"), PACKAGES.items())
def test_importing_a_package_does_not_import_slow_modules(package, slow):
    code = f"import sys, {package}; print(*{slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_other_names_are_no_attributes():
    with pytest.raises(AttributeError, match=r"'reconciler.api' has no attribute 'nothing'"):
        import_module("reconciler.api").nothing  # noqa: B018
