"""``policy:`` of reconciler.yaml: its rules, and the message for each fault."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from reconciler.config.policy import Policy, is_in_ranges, matches_any, normalize_capability
from reconciler.config.settings import Settings
from reconciler.errors import ConfigError
from tests.config.loading import load


def load_text(folder: Path, text: str) -> Settings:
    (folder / "reconciler.yaml").write_text(text)
    return load(folder=folder)


def policy(folder: Path, text: str) -> Policy:
    found = load_text(folder, text).policy
    assert found is not None
    return found


def test_without_a_policy_the_defaults_deny_what_gives_the_host_away(tmp_path: Path) -> None:
    assert load_text(tmp_path, "engine: podman\n").policy is None
    default = Policy()
    assert not any((default.privileged, default.host_network, default.host_pid, default.host_ipc))
    assert (default.host_paths, default.capabilities, default.device_nodes, default.profiles) == ((),) * 4
    assert policy(tmp_path, "policy:\n") == default


def test_host_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    found = policy(tmp_path, "policy:\n  hostPaths:\n  - {path: data, readOnly: true}\n  - path: /srv\n")

    assert [(p.path, p.read_only) for p in found.host_paths] == [(f"{tmp_path}/data", True), ("/srv", False)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policy:\n  privilegd: true\n", "yaml:2: policy.privilegd is not a rule (did you mean privileged?)"),
        (
            "policy:\n  hostPaths:\n  - path: /a\n    readonly: true\n",
            "yaml:4: policy.hostPaths[0].readonly is not",
        ),
        ("policy:\n  images: {alow: []}\n", "yaml:2: policy.images.alow is not a rule (did you mean allow?)"),
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
        ("policies: {}\n", "policies is not a setting (did you mean policy?)"),
    ],
)
def test_a_fault_names_file_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_text(tmp_path, text)

    assert said in str(refused.value)


def test_a_policy_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Policy().privileged = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "pattern", "matched"),
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
def test_a_pattern_matches_the_whole_text(text: str, pattern: str, *, matched: bool) -> None:
    assert matches_any(text, (pattern,)) is matched


def test_matching_a_long_name_is_fast() -> None:
    begin = time.process_time()

    assert not matches_any("a" * 500, ("**a" * 30 + "b",))
    assert matches_any("a" * 500, ("**a" * 30 + "**",))
    assert time.process_time() - begin < 10


def test_capabilities_are_normalized_and_ids_compared_as_numbers() -> None:
    assert {normalize_capability(name) for name in ("CAP_SYS_ADMIN", "sys_admin", "Sys_Admin")} == {
        "SYS_ADMIN"
    }
    assert is_in_ranges(1000, ("0", "1000-1999"))
    assert not is_in_ranges(2000, ("0", "1000-1999"))
