"""A folder of manifests to be scanned."""

import pytest

from tests.sources.manifest_folder import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "specs")
