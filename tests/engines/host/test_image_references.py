"""Image references in parts, as engines read them."""

import pytest

from reconciler.engines.host.image_references import ImageReference, registry_of

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("r.example/a/b/c:v1", "r.example/a/b/c:v1"),
        (f"r.example/a@{DIGEST}", f"r.example/a@{DIGEST}"),
        (f"r.example:1/a:v1@{DIGEST}", f"r.example:1/a:v1@{DIGEST}"),
        ("ghcr.io/kubeflow/trainer/torch__x-runtime", "ghcr.io/kubeflow/trainer/torch__x-runtime:latest"),
    ],
)
def test_a_reference_is_completed(text, full):
    assert str(ImageReference.parse(text)) == full


@pytest.mark.parametrize(
    "text", ["", "App", "a b", "a:", "a:b:c", "a@sha256:12", "r.example/", "a//b", "-a", "http://a/b"]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match="no image reference"):
        ImageReference.parse(text)
    assert registry_of(text) == ""
