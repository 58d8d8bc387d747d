"""Which files count as manifests, through links and loops."""

import os
from pathlib import Path

import pytest

from reconciler.sources.folder.manifest_files import is_manifest_name, list_manifest_files


@pytest.mark.parametrize(
    "name", ["a.yaml", "a.yml", "a.json", "A.YAML", "a.b.yaml", "status.yaml", "my-reconciler.yaml"]
)
def test_manifest_names(name):
    assert is_manifest_name(name)


@pytest.mark.parametrize(
    "name",
    [
        ".a.yaml",
        "a.yaml~",
        ".#a.yaml",
        "#a.yaml#",
        ".a.yaml.swp",
        "a.yaml.swp",
        "a.yaml.tmp",
        "4913",
        "~a.yaml",
        "a.status.yaml",
        ".status.yaml",
        "reconciler.yaml",
        "a.txt",
        "yaml",
        "a.yaml___jb_tmp___",
        "a.yaml.bak",
    ],
)
def test_names_that_are_no_manifests(name):
    assert not is_manifest_name(name)


def found(root):
    return [os.path.relpath(path, root) for path in list_manifest_files(str(root)).files]


def test_folders_below_are_read_and_hidden_ones_are_not(tmp_path):
    for name in [
        "a.yaml",
        "sub/b.yml",
        "sub/deep/c.json",
        ".git/d.yaml",
        "sub/.hidden/e.yaml",
        "sub/readme.md",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    assert found(tmp_path) == ["a.yaml", "sub/b.yml", "sub/deep/c.json"]


def test_a_swapped_link_and_what_it_points_to_is_read_once_under_the_links_name(tmp_path):
    (tmp_path / "rev-1").mkdir()
    (tmp_path / "rev-1" / "job.yaml").write_text("")
    (tmp_path / "current").symlink_to("rev-1")

    assert found(tmp_path) == ["current/job.yaml"]


def test_a_mounted_configmap_is_read_by_its_visible_names(tmp_path):
    data = tmp_path / "..2026_01_01"
    data.mkdir()
    (data / "job.yaml").write_text("")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "job.yaml").symlink_to("..data/job.yaml")

    layout = list_manifest_files(str(tmp_path))

    assert list(layout.files) == [str(tmp_path / "job.yaml")]
    assert str(tmp_path / "..data") in layout.links


def test_loops_and_links_to_the_folder_above_end(tmp_path):
    root = tmp_path / "specs"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x.yaml").write_text("")
    (root / "a" / "self").symlink_to(".")
    (root / "a" / "up").symlink_to("..")
    (root / "above").symlink_to(tmp_path)
    (root / "me.yaml").symlink_to("me.yaml")

    layout = list_manifest_files(str(root))

    assert found(root) == ["a/x.yaml"]
    assert list(layout.unreadable) == [str(root / "me.yaml")]


def test_a_link_to_a_file_that_is_read_anyway_is_left_out(tmp_path):
    (tmp_path / "b.yaml").write_text("")
    (tmp_path / "a.yaml").symlink_to("b.yaml")

    assert found(tmp_path) == ["b.yaml"]


def test_dangling_links_and_things_that_are_no_files_are_unreadable(tmp_path):
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "folder").symlink_to("nowhere-either")
    os.mkfifo(tmp_path / "pipe.yaml")

    layout = list_manifest_files(str(tmp_path))

    assert sorted(Path(path).name for path in layout.unreadable) == [
        "folder",
        "gone.yaml",
        "pipe.yaml",
    ]
    assert not layout.files


@pytest.mark.parametrize("name", ["missing", "below/missing"])
def test_a_folder_that_is_not_there(tmp_path, name):
    assert list_manifest_files(str(tmp_path / name)).state == "missing"


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")

    layout = list_manifest_files(str(tmp_path / "file"))

    assert (layout.state, layout.reason) == ("unreadable", "it is not a folder")
