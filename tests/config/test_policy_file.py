"""``policy:`` of reconciler.yaml: what it may say, and the sentence for what it may not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciler.config.policy import Policy, capability, matches, within
from reconciler.config.settings import Settings, load_settings
from reconciler.errors import ConfigError


def load(folder: Path, text: str) -> Settings:
    (folder / "reconciler.yaml").write_text(text)
    return load_settings(environ={"HOME": "/nowhere"}, folder=folder)


def policy(folder: Path, text: str) -> Policy:
    found = load(folder, text).policy
    assert found is not None
    return found


def test_without_a_policy_the_defaults_deny_what_gives_the_host_away(tmp_path: Path) -> None:
    assert load(tmp_path, "engine: podman\n").policy is None
    default = Policy()
    assert not any((default.privileged, default.host_network, default.host_pid, default.host_ipc))
    assert (default.host_paths, default.capabilities, default.device_nodes, default.profiles) == ((),) * 4
    assert policy(tmp_path, "policy:\n") == default


def test_a_path_is_relative_to_the_file(tmp_path: Path) -> None:
    found = policy(tmp_path, "policy:\n  hostPaths:\n  - {path: data, readOnly: true}\n  - path: /srv\n")

    assert [(p.path, p.read_only) for p in found.host_paths] == [(f"{tmp_path}/data", True), ("/srv", False)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policy:\n  privilegd: true\n", "yaml:2: policy.privilegd is no rule (did you mean privileged?)"),
        (
            "policy:\n  hostPaths:\n  - path: /a\n    readonly: true\n",
            "yaml:4: policy.hostPaths[0].readonly is no",
        ),
        ("policy:\n  images: {alow: []}\n", "yaml:2: policy.images.alow is no rule (did you mean allow?)"),
        ("policy:\n  privileged: maybe\n", "yaml:2: policy.privileged: 'maybe' must be"),
        ("policy:\n  hostPaths: /srv\n", "yaml:2: policy.hostPaths: '/srv' must be a list"),
        ("policy:\n  hostPaths:\n  - readOnly: true\n", "yaml:3: policy.hostPaths[0].path is missing"),
        ("policy:\n  hostPaths:\n  - path: ../up\n", "must be a path without '..'"),
        ("policy:\n  users:\n    ranges: [9-1]\n", "yaml:3: policy.users.ranges[0]: '9-1' must be an id"),
        (
            "policy:\n  maximum: {memory: many}\n",
            "policy.maximum.memory: 'many' must be a Kubernetes quantity",
        ),
        ("policy:\n  maximum: {nodes: 0}\n", "policy.maximum.nodes: 0 must be greater"),
        ("policy: yes\n", "yaml:1: policy: True must be a mapping"),
        ("policy:\n  hostPID: true\n  hostPID: false\n", "yaml:3: policy.hostPID is given twice"),
        ("policy: {}\npolicy: {}\n", "yaml:2: policy is given twice"),
        ("policies: {}\n", "policies is no setting (did you mean policy?)"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)

    assert said in str(refused.value)


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Policy().privileged = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "pattern", "is_one"),
    [
        ("ghcr.io/kubeflow/trainer", "ghcr.io/kubeflow/*", True),
        ("ghcr.io/kubeflow/a/b", "ghcr.io/kubeflow/*", False),
        ("ghcr.io/kubeflow/a/b", "ghcr.io/**", True),
        ("ghcr.io.evil.example/x", "ghcr.io/**", False),
        ("evil.example/ghcr.io/x", "ghcr.io/**", False),
        ("localhost/x\nghcr.io/y", "ghcr.io/**", False),
        ("a.b", "a?b", True),
        ("axb", "a.b", False),
    ],
)
def test_a_pattern_is_about_the_whole(text: str, pattern: str, *, is_one: bool) -> None:
    assert matches(text, (pattern,)) is is_one


def test_a_long_name_does_not_take_long() -> None:
    begin = time.process_time()

    assert not matches("a" * 500, ("**a" * 30 + "b",))
    assert matches("a" * 500, ("**a" * 30 + "**",))
    assert time.process_time() - begin < 10


def test_capabilities_and_ids_have_one_spelling() -> None:
    assert {capability(name) for name in ("CAP_SYS_ADMIN", "sys_admin", "Sys_Admin")} == {"SYS_ADMIN"}
    assert within(1000, ("0", "1000-1999"))
    assert not within(2000, ("0", "1000-1999"))
