"""Host paths replaced between a container's create and its start, when the engine has not mounted them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.config.settings import Settings
from reconciler.controller.enforcement.enforcer import PolicyEnforcer
from reconciler.engines.discovery import selection
from reconciler.engines.host import sub_paths
from reconciler.engines.host.sub_paths import prepare_sub_path as make_part
from reconciler.engines.protocol import Engine
from reconciler.engines.specs import ContainerSpec, Mount, VolumeSpec
from reconciler.errors import Conflict, Drifted, PolicyDenied, StartFailed
from tests.support import images
from tests.support.workspaces import Workspace, eventually, unique

CANARY = "canary-e83b02"


@pytest.fixture
def engine(containers: Workspace) -> Iterator[Engine]:
    """The workspace's engine, by the code under test."""
    connected = selection.connect(containers.engine, containers.url)
    yield connected
    connected.close()


@pytest.fixture
def enforcer(containers: Workspace, engine: Engine) -> PolicyEnforcer:
    settings = Settings(
        specs=containers.specs,
        state_dir=containers.root / "state",
        config_file=containers.root / "reconciler.yaml",
        instance=containers.instance,
    )
    info = engine.info()
    if not info.same_mounts:
        pytest.skip("the engine sees other mounts than this process")
    return PolicyEnforcer(settings, socket=containers.url, same_mounts=True)


def swappable_folder(workspace: Workspace) -> tuple[Path, Any]:
    """Returns a folder to mount, and a function that replaces it by a link to a secret."""
    secret = workspace.root.parent / "secret"
    place = workspace.root / "data" / "in"
    secret.mkdir()
    place.mkdir(parents=True)
    (secret / "key").write_text(CANARY)
    (place / "key").write_text("harmless")

    def swap() -> None:
        place.rename(place.with_name("aside"))
        place.symlink_to(secret)

    return place, swap


def spec(workspace: Workspace, place: Path) -> ContainerSpec:
    return ContainerSpec(
        name=unique("pinned"),
        image=images.reference(),
        labels={"reconciler.trainer.kubeflow.org/instance": workspace.instance},
        entrypoint=("cat", "/in/key"),
        mounts=(Mount(kind="bind", target="/in", source=str(place), root=str(place), read_only=True),),
    )


def output(engine: Engine, container: str) -> str:
    eventually(lambda: engine.inspect_container(container).state == "exited", "it ends")
    return b"".join(engine.logs(container, follow=False)).decode()


def test_link_swapped_in_after_the_create_is_not_mounted(
    containers: Workspace, engine: Engine, enforcer: PolicyEnforcer
) -> None:
    place, swap = swappable_folder(containers)

    with enforcer.pin_host_paths(spec(containers, place)) as pinned:
        container = engine.create_container(pinned.spec)
        swap()
        engine.start_container(container)

    assert output(engine, container) == "harmless"
    assert not list((containers.root / "state" / "held" / containers.instance).iterdir())


def test_link_swapped_in_for_a_sub_path_is_not_mounted(
    containers: Workspace, engine: Engine, enforcer: PolicyEnforcer
) -> None:
    labels = {"reconciler.trainer.kubeflow.org/instance": containers.instance}
    volume = unique("parts")
    engine.create_volume(VolumeSpec(name=volume, labels=labels))
    part = Mount(kind="volume", source=volume, target="/in", sub_path="in")
    try:
        folder = engine.sub_path_root(part)
        if folder is None:
            pytest.skip("this engine mounts parts of volumes itself")
        secret, place = containers.root / "secret", Path(folder, "in")
        secret.mkdir()
        place.mkdir()
        (secret / "key").write_text(CANARY)
        (place / "key").write_text("harmless")
        wanted = replace(spec(containers, place), mounts=(part,))

        with enforcer.pin_host_paths(wanted, engine.sub_path_root) as pinned:
            container = engine.create_container(pinned.spec)
            place.rename(place.with_name("aside"))
            place.symlink_to(secret)
            engine.start_container(container)
        said = output(engine, container)
        with (
            pytest.raises(StartFailed, match="leads out"),
            enforcer.pin_host_paths(wanted, engine.sub_path_root),
        ):
            pass
        engine.remove_container(container)
    finally:
        containers.clean()
        engine.remove_volume(volume)

    assert said == "harmless"


def test_missing_sub_path_is_not_created_through_a_link(tmp_path: Path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    volume.mkdir(mode=0o750)
    outside.mkdir()

    made = Path(make_part(str(volume), "a/b"))
    assert made.stat().st_mode & 0o777 == volume.stat().st_mode & 0o777

    # As if it had been put there after the check.
    (volume / "link").symlink_to(outside)
    sub_paths._make_folders(volume, ("link", "in"))
    assert list(outside.iterdir()) == []


def test_attack_succeeds_without_pinning(containers: Workspace, engine: Engine) -> None:
    place, swap = swappable_folder(containers)

    container = engine.create_container(spec(containers, place))
    swap()
    engine.start_container(container)

    assert output(engine, container) == CANARY


def test_unpinned_path_is_verified_before_the_start(containers: Workspace, engine: Engine) -> None:
    settings = Settings(specs=containers.root / "data", state_dir=containers.root / "state")
    place, swap = swappable_folder(containers)

    with PolicyEnforcer(settings, same_mounts=False).pin_host_paths(spec(containers, place)) as pinned:
        container = engine.create_container(pinned.spec)
        swap()
        with pytest.raises(PolicyDenied, match="has changed"):
            pinned.verify()

    assert engine.inspect_container(container).state == "created"


def test_container_with_more_rights_than_requested_fails(
    containers: Workspace, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _ = swappable_folder(containers)
    wanted = spec(containers, place)
    real = type(engine)._inspect

    def lying(self: Any, container: str) -> Any:
        found = real(self, container)
        found["HostConfig"]["Privileged"] = True
        return found

    monkeypatch.setattr(type(engine), "_inspect", lying)
    with pytest.raises(Drifted, match="privileged"):
        engine.create_container(wanted)
    monkeypatch.undo()

    assert containers.containers() == []


def test_volume_of_another_instances_claim_is_not_used(containers: Workspace, engine: Engine) -> None:
    key = "reconciler.trainer.kubeflow.org/instance"
    claim = {"reconciler.trainer.kubeflow.org/kind": "claim"}
    name = unique("data")
    engine.create_volume(VolumeSpec(name=name, labels=claim, owner_labels={key: "somebody-else"}))
    try:
        with pytest.raises(Conflict):
            engine.create_volume(VolumeSpec(name=name, labels=claim, owner_labels={key: containers.instance}))
        # One that the policy names is asked for without an owner.
        engine.create_volume(VolumeSpec(name=name, labels=claim))
    finally:
        engine.remove_volume(name)
