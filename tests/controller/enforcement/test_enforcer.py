"""What hostPath says of its type, held against what the host has."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.settings import Settings
from reconciler.controller.enforcement.enforcer import Guard
from reconciler.controller.plan_cache import Planner
from reconciler.errors import StateError
from reconciler.plan.job_plan import PodPlan
from reconciler.state.record import Record
from tests.simulation.manifests import job, runtime, step


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    settings = Settings(specs=tmp_path, state_dir=tmp_path / "state")
    return Guard(settings, same_mounts=True)


def mounting(path: Path, kind: str) -> PodPlan:
    volume = {"name": "v", "hostPath": {"path": str(path), "type": kind}}
    raw = runtime("r", step("node", pod={"volumes": [volume]}), nodes=1)
    record = Record(
        namespace="default", name="demo", uid="u", created_at=0.0, job=job("demo", "r"), runtime=raw
    )
    return Planner().plan(record).step("node").pods[0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("folder", "File"), ("folder", "FileOrCreate"), ("file", "Directory"), ("file", "Socket")],
)
def test_a_path_of_another_type_is_said(guard: Guard, tmp_path: Path, name: str, kind: str) -> None:
    with pytest.raises(StateError, match=f"is a {name}; its volume says {kind}"):
        guard.make_folders(mounting(tmp_path / name, kind))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("folder", "Directory"), ("folder", "DirectoryOrCreate"), ("file", "File"), ("new", "File")],
)
def test_a_path_of_its_type_is_left_alone(guard: Guard, tmp_path: Path, name: str, kind: str) -> None:
    before = sorted(tmp_path.iterdir())

    guard.make_folders(mounting(tmp_path / name, kind))

    assert sorted(tmp_path.iterdir()) == before


def test_what_is_to_be_made_is_made(guard: Guard, tmp_path: Path) -> None:
    guard.make_folders(mounting(tmp_path / "new", "DirectoryOrCreate"))

    assert (tmp_path / "new").is_dir()
