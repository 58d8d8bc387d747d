"""The type of a hostPath, compared with what the host has."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.settings import Settings
from reconciler.controller.enforcement.enforcer import PolicyEnforcer
from reconciler.controller.plan_cache import PlanCache
from reconciler.errors import StateError
from reconciler.plan.job_plan import PodPlan
from reconciler.state.record import Record
from tests.simulation.manifests import job, runtime, step


@pytest.fixture
def enforcer(tmp_path: Path) -> PolicyEnforcer:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    settings = Settings(specs=tmp_path, state_dir=tmp_path / "state")
    return PolicyEnforcer(settings, same_mounts=True)


def pod_with_host_path(path: Path, kind: str) -> PodPlan:
    volume = {"name": "v", "hostPath": {"path": str(path), "type": kind}}
    raw = runtime("r", step("node", pod={"volumes": [volume]}), nodes=1)
    record = Record(
        namespace="default", name="demo", uid="u", created_at=0.0, job=job("demo", "r"), runtime=raw
    )
    return PlanCache().plan(record).step("node").pods[0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("folder", "File"), ("folder", "FileOrCreate"), ("file", "Directory"), ("file", "Socket")],
)
def test_path_of_another_type_is_an_error(
    enforcer: PolicyEnforcer, tmp_path: Path, name: str, kind: str
) -> None:
    with pytest.raises(StateError, match=f"is a {name}; its volume says {kind}"):
        enforcer.create_host_paths(pod_with_host_path(tmp_path / name, kind))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("folder", "Directory"), ("folder", "DirectoryOrCreate"), ("file", "File"), ("new", "File")],
)
def test_path_of_its_type_is_unchanged(
    enforcer: PolicyEnforcer, tmp_path: Path, name: str, kind: str
) -> None:
    before = sorted(tmp_path.iterdir())

    enforcer.create_host_paths(pod_with_host_path(tmp_path / name, kind))

    assert sorted(tmp_path.iterdir()) == before


def test_missing_folder_is_created(enforcer: PolicyEnforcer, tmp_path: Path) -> None:
    enforcer.create_host_paths(pod_with_host_path(tmp_path / "new", "DirectoryOrCreate"))

    assert (tmp_path / "new").is_dir()
