"""Where sidecars are, and what a broken one reads as."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.state.sidecar_files import load_documents, sidecar_path, sidecar_root


@pytest.mark.parametrize(
    ("manifest", "status_dir", "wanted"),
    [
        ("/specs/a.yaml", None, "/specs/a.status.yaml"),
        ("/specs/a.b.yml", None, "/specs/a.b.status.yaml"),
        ("/specs/sub/a.JSON", None, "/specs/sub/a.status.yaml"),
        ("/specs/sub/a.yaml", "/status", "/status/sub/a.status.yaml"),
        ("/elsewhere/a.yaml", "/status", "/status/a.status.yaml"),
    ],
)
def test_the_sidecar_is_beside_the_manifest_or_in_the_same_tree(
    manifest: str, status_dir: str | None, wanted: str
) -> None:
    found = sidecar_path(
        Path(manifest), specs=Path("/specs"), status_dir=Path(status_dir) if status_dir else None
    )
    assert found == Path(wanted)


def test_sidecars_are_beside_the_manifests_unless_a_folder_is_named(tmp_path):
    assert sidecar_root(tmp_path, None) == tmp_path
    assert sidecar_root(tmp_path, tmp_path / "s") == tmp_path / "s"


def test_a_sidecar_that_does_not_parse_has_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.status.yaml"
    path.write_text("{{{{")
    assert load_documents(path) == []
