"""Credentials for registries from ``imagePullSecrets``."""

import base64
import json

import pytest

from reconciler.controller.nodeservices.registry_credentials import find_credentials
from reconciler.errors import ConfigError


def secret(auths, *, key=".dockerconfigjson"):
    return {key: json.dumps({"auths": auths} if key == ".dockerconfigjson" else auths).encode()}


def login(name):
    return {"auth": base64.b64encode(f"{name}:pass:word".encode()).decode()}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("registry.example/team/app:v1", "team"),
        ("registry.example/teams/app", "host"),
        ("registry.example/app", "host"),
        ("registry.example:5000/app", "port"),
        ("busybox", "hub"),
        ("docker.io/me/app", "hub"),
        ("x.cloud.example/app", "star"),
        ("y.x.cloud.example/app", None),
        ("elsewhere.example/app", None),
        ("NOT AN IMAGE", None),
    ],
)
def test_longest_matching_entry_wins(image, expected):
    auths = {
        "registry.example": login("host"),
        "https://registry.example/team": login("team"),
        "registry.example:5000": login("port"),
        "https://index.docker.io/v1/": login("hub"),
        "*.cloud.example": login("star"),
    }

    found = find_credentials(image, [secret(auths)])

    assert (found.username if found else None) == expected
    assert found is None or found.password == "pass:word"


def test_dockercfg_secret_is_read():
    assert (
        find_credentials("r.example/a", [secret({"r.example": login("old")}, key=".dockercfg")]).username
        == "old"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "no key .dockerconfigjson"),
        ({".dockerconfigjson": b"{s3cret"}, "not JSON"),
        ({".dockerconfigjson": b"[]"}, "no JSON object"),
        ({".dockerconfigjson": b'{"auths": []}'}, "no mapping"),
        (secret({"r.example": {"auth": "czNjcmV0"}}), "neither username and password"),
        (secret({"r.example": {}}), "neither username and password"),
    ],
)
def test_invalid_secret_is_reported_without_its_content(data, message):
    with pytest.raises(ConfigError, match=message) as caught:
        find_credentials("r.example/a", [data])
    assert "s3cret" not in str(caught.value)
