"""Where sidecars are, and what a broken one reads as."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.state.sidecar_files import (
    load_documents,
    orphaned_sidecars,
    sidecar_path,
    sidecar_root,
    status_file_problem,
)


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


@pytest.mark.parametrize(
    ("manifest", "status_dir", "why"),
    [
        ("/specs/" + "a" * 243 + ".yaml", None, ""),
        ("/specs/" + "a" * 244 + ".yaml", None, "shorten the manifest's name by 1 bytes"),
        ("/specs/" + "\N{GRINNING FACE}" * 60 + "aaa.yaml", None, ""),
        ("/specs/" + "\N{GRINNING FACE}" * 61 + ".yaml", None, "shorten the manifest's name by 1 bytes"),
        ("/specs/a.yaml", Path("/" + "s" * 4090), "possible: shorten the names"),
        ("/specs/" + "d/" * 2040 + "a.yaml", None, "possible: shorten the names"),
    ],
    ids=["fits", "name", "fits in bytes", "name in bytes", "status folder", "path"],
)
def test_a_status_file_that_could_not_exist_is_said_with_what_to_do(
    manifest: str, status_dir: Path | None, why: str
) -> None:
    problem = status_file_problem(manifest, specs=Path("/specs"), status_dir=status_dir)

    assert why in problem
    assert bool(problem) == bool(why)


def test_sidecars_of_manifests_that_may_be_there_are_no_orphans(tmp_path: Path) -> None:
    text = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nmetadata: {name: a}\nstatus: {}\n"
    for name in ("gone", "here", "loop"):
        (tmp_path / f"{name}.status.yaml").write_text(text)
    (tmp_path / "here.yaml").touch()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")  # nobody can tell

    assert [p.name for p in orphaned_sidecars(specs=tmp_path, status_dir=None)] == ["gone.status.yaml"]
