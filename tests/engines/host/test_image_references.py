"""Image references: repository, registry and full name, as engines read them."""

import pytest

from reconciler.engines.host.image_references import (
    full_name,
    is_on_loopback,
    registry_of,
    repository_of,
)

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1", "docker.io/library/busybox"),
        ("me/app", "docker.io/me/app"),
        ("index.docker.io/busybox", "docker.io/library/busybox"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app"),
        ("r.example/a/b/c:v1", "r.example/a/b/c"),
        (f"r.example/a@{DIGEST}", "r.example/a"),
        (f"r.example:1/a:v1@{DIGEST}", "r.example:1/a"),
        ("ghcr.io/kubeflow/trainer/torch__x-runtime", "ghcr.io/kubeflow/trainer/torch__x-runtime"),
    ],
)
def test_a_reference_names_a_repository(text, repository):
    assert repository_of(text) == repository


@pytest.mark.parametrize(
    "text", ["", "App", "a b", "a:", "a:b:c", "a@sha256:12", "r.example/", "a//b", "-a", "http://a/b"]
)
def test_an_invalid_reference_names_none(text):
    assert repository_of(text) is None


@pytest.mark.parametrize(
    ("image", "registry", "full"),
    [
        ("python", "docker.io", "docker.io/library/python:latest"),
        ("pytorch/pytorch:2.7.1", "docker.io", "docker.io/pytorch/pytorch:2.7.1"),
        ("docker.io/python:3", "docker.io", "docker.io/library/python:3"),
        ("ghcr.io/a/b/c", "ghcr.io", "ghcr.io/a/b/c:latest"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "127.0.0.1:5000/x:latest"),
        ("localhost/x:base", "localhost", "localhost/x:base"),
        ("x@sha256:abc", "docker.io", "docker.io/library/x@sha256:abc"),
        ("x:1@sha256:abc", "docker.io", "docker.io/library/x:1@sha256:abc"),
    ],
)
def test_any_name_has_a_registry_and_a_full_name(image: str, registry: str, full: str) -> None:
    assert registry_of(image) == registry
    assert full_name(image) == full


def test_registries_on_loopback_may_speak_plain_http() -> None:
    assert all(map(is_on_loopback, ("127.0.0.1:5000", "localhost:5000", "localhost", "[::1]:5000")))
    assert not any(map(is_on_loopback, ("docker.io", "10.0.0.1:5000", "localhost.example")))
