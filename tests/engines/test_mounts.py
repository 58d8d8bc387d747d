"""Volumes and other mounts, as a pod has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.engines.specs import Mount, Security, VolumeSpec
from reconciler.errors import Conflict, NotFound, StartFailed
from tests.support.benches import LABEL, Bench

pytestmark = pytest.mark.engine

NOBODY = Security(user="65534:65534")


@pytest.fixture
def target(bench: Bench, tmp_path: Path) -> str:
    """Where a test mounts something; plain processes see the machine's own folders."""
    return "/data" if bench.can.images else str(tmp_path / "target")


def test_a_folder_of_the_host_is_mounted(bench: Bench, tmp_path: Path, target: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "in").write_text("from the host")

    printed = bench.run(
        f"cat {target}/in; echo from inside > {target}/out",
        mounts=(Mount(kind="bind", source=str(source), target=target),),
    )

    assert printed == "from the host"
    assert (source / "out").read_text() == "from inside\n"


def test_a_file_is_mounted(containers: Bench, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")

    printed = containers.run(
        "cat /etc/app.conf", mounts=(Mount(kind="bind", source=str(file), target="/etc/app.conf"),)
    )

    assert printed == "content"


def test_read_only_mounts_cannot_be_written(containers: Bench, tmp_path: Path) -> None:
    volume = containers.volume()
    mounts = (
        Mount(kind="bind", source=str(tmp_path), target="/bind", read_only=True),
        Mount(kind="volume", source=volume, target="/volume", read_only=True),
        Mount(kind="tmpfs", target="/tmpfs", read_only=True),
    )

    printed = containers.run(
        "for d in /bind /volume /tmpfs; do touch $d/x 2>/dev/null || echo refused; done", mounts=mounts
    )

    assert printed.split() == ["refused"] * 3


def test_a_volume_keeps_files_for_the_next_container(bench: Bench, target: str) -> None:
    volume = bench.volume()
    mounts = (Mount(kind="volume", source=volume, target=target),)

    bench.run(f"echo kept > {target}/file", "a", mounts=mounts)
    printed = bench.run(f"cat {target}/file", "b", mounts=mounts)

    assert printed == "kept\n"


def test_any_user_may_write_to_a_volume(containers: Bench) -> None:
    mounts = (Mount(kind="volume", source=containers.volume(), target="/data"),)

    assert containers.run("touch /data/x && echo written", mounts=mounts, security=NOBODY) == "written\n"


def test_a_volume_hides_the_images_files(containers: Bench) -> None:
    mounts = (Mount(kind="volume", source=containers.volume(), target="/etc/apt"),)

    assert containers.run("ls -A /etc/apt", mounts=mounts) == ""


def test_a_volume_in_memory_has_the_size(containers: Bench) -> None:
    volume = containers.volume(tmpfs_size=8 << 20)
    mounts = (Mount(kind="volume", source=volume, target="/data"),)

    printed = containers.run(
        "df -k /data | tail -1 | awk '{print $1, $2}'; touch /data/x", mounts=mounts, security=NOBODY
    )

    assert printed.split() == ["tmpfs", str(8 << 10)]


def test_a_tmpfs_has_the_size_and_is_world_writable(containers: Bench) -> None:
    mounts = (Mount(kind="tmpfs", target="/scratch", size=4 << 20),)
    script = (
        "df -k /scratch | tail -1 | awk '{print $1, $2}'; cp /bin/true /scratch/t && /scratch/t && echo runs"
    )

    printed = containers.run(script, mounts=mounts, security=NOBODY)

    assert printed.split() == ["tmpfs", str(4 << 10), "runs"]


def test_a_tmpfs_at_dev_shm_sets_the_size(containers: Bench) -> None:
    mounts = (Mount(kind="tmpfs", target="/dev/shm", size=5 << 20),)

    printed = containers.run("df -k /dev/shm | tail -1 | awk '{print $2}'", mounts=mounts)

    assert printed.split() == [str(5 << 10)]


def test_an_unlimited_tmpfs_at_dev_shm_is_larger_than_the_default(containers: Bench) -> None:
    mounts = (Mount(kind="tmpfs", target="/dev/shm"),)

    printed = containers.run("df -k /dev/shm | tail -1 | awk '{print $2}'", mounts=mounts)

    assert int(printed) > 65536


def test_a_volume_at_dev_shm_is_used(containers: Bench) -> None:
    volume = containers.volume(tmpfs_size=6 << 20)
    mounts = (Mount(kind="volume", source=volume, target="/dev/shm"),)

    printed = containers.run("df -k /dev/shm | tail -1 | awk '{print $2}'", mounts=mounts, shm_size=1 << 20)

    assert printed.split() == [str(6 << 10)]


def test_a_sub_path_of_a_volume_is_created_and_mounted(bench: Bench, target: str) -> None:
    volume = bench.volume()
    part = Mount(kind="volume", source=volume, target=target, sub_path="a/b")
    whole = Mount(kind="volume", source=volume, target=target)

    bench.run(f"echo deep > {target}/file", "part", mounts=(part,))
    printed = bench.run(f"cat {target}/a/b/file", "whole", mounts=(whole,))

    assert printed == "deep\n"


def test_a_sub_path_of_a_bind_is_created_and_mounted(bench: Bench, tmp_path: Path, target: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    mount = Mount(kind="bind", source=str(source), target=target, sub_path="a/b")

    bench.run(f"echo deep > {target}/file", mounts=(mount,))

    assert (source / "a" / "b" / "file").read_text() == "deep\n"


@pytest.mark.parametrize("sub_path", ["../out", "/etc", "link"])
def test_a_sub_path_cannot_lead_out(containers: Bench, tmp_path: Path, sub_path: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "link").symlink_to("/etc")

    with pytest.raises(StartFailed, match="leads out"):
        containers.create(
            script="true",
            mounts=(Mount(kind="bind", source=str(source), target="/data", sub_path=sub_path),),
        )


def test_a_missing_folder_fails_the_start(containers: Bench, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")

    with pytest.raises(StartFailed, match=missing) as failed:
        containers.start(script="true", mounts=(Mount(kind="bind", source=missing, target="/data"),))

    assert failed.value.remedy


def test_a_missing_volume_is_not_found(containers: Bench) -> None:
    mount = Mount(kind="volume", source=containers.name("no-volume"), target="/data")

    with pytest.raises(NotFound, match="no-volume"):
        containers.create(script="true", mounts=(mount,))

    assert containers.engine.list_volumes({}) is not None
    names = [each.name for each in containers.engine.list_volumes({})]
    assert containers.name("no-volume") not in names


def test_a_volume_with_the_same_labels_is_reused(bench: Bench) -> None:
    name = bench.volume()

    bench.engine.create_volume(VolumeSpec(name=name, labels=bench.labels))

    listed = bench.engine.list_volumes(bench.labels)
    assert [each.name for each in listed] == [name]
    assert listed[0].labels.items() >= bench.labels.items()


def test_a_volume_with_other_labels_is_a_conflict(bench: Bench) -> None:
    name = bench.volume()

    with pytest.raises(Conflict, match=name):
        bench.engine.create_volume(VolumeSpec(name=name, labels={LABEL: "somebody-else"}))


def test_a_volume_in_use_is_not_removed(containers: Bench) -> None:
    volume = containers.volume()
    containers.create(script="true", mounts=(Mount(kind="volume", source=volume, target="/data"),))

    with pytest.raises(Conflict, match=volume):
        containers.engine.remove_volume(volume)

    assert [each.name for each in containers.engine.list_volumes(containers.labels)] == [volume]
    assert len(containers.engine.list_containers(containers.labels)) == 1
