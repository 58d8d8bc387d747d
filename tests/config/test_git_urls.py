"""The accepted forms of repositories, and the texts that git would execute."""

from __future__ import annotations

import pytest

from reconciler.config.git_urls import parse_path, parse_ref, parse_url, redact
from reconciler.errors import ConfigError
from tests.config.loading import load


@pytest.mark.parametrize(
    ("text", "location", "scheme"),
    [
        ("https://example.com/a/b.git/", "https://example.com/a/b.git", "https"),
        ("https://me:s%40cret@example.com:8443/b.git", "https://example.com:8443/b.git", "https"),
        ("ssh://git@example.com:22/b.git", "ssh://git@example.com:22/b.git", "ssh"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git", "ssh"),
        ("file:///srv/b.git", "file:///srv/b.git", "file"),
        ("/srv/my repo", "file:///srv/my%20repo", "file"),
        ("http://[::1]:80/b", "http://[::1]:80/b", "http"),
    ],
)
def test_supported_urls_are_parsed(text, location, scheme):
    found = parse_url(text)

    assert (found.location, found.scheme) == (location, scheme)


def test_credentials_are_kept_apart_and_out_of_the_repr():
    found = parse_url("https://me:s%40cret-token@example.com/b.git")

    assert (found.user, found.password) == ("me", "s@cret-token")
    assert "cret" not in f"{found} {found!r}"


@pytest.mark.parametrize(
    "text",
    [
        "--upload-pack=touch /tmp/x",
        "--upload-pack=x",
        "ext::sh -c id",
        "ext::sh",
        "fd::7",
        "transport::address",
        "ssh://-oProxyCommand=id/x",
        "-oProxyCommand=id:x",
        "git@-oProxyCommand=id:x",
        "ssh://git;id@h/x",
        "host:-x",
        "git://example.com/x",
        "ftp://example.com/x",
        "https://example.com/x?y#z",
        "https://example.com/\nx",
        "https://exa mple.com/x",
        "https:///x",
        "https://h:99999/x",
        "file://elsewhere/x",
        "ssh://git:secret@h/x",
        "",
    ],
)
def test_unsupported_and_dangerous_urls_are_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_url(text)


@pytest.mark.parametrize(
    "text", ["main", "v1.0", "team/branch", "refs/heads/main", "HEAD", "a" * 40, "überall"]
)
def test_valid_refs_are_accepted(text):
    assert parse_ref(text) == text


@pytest.mark.parametrize(
    "text",
    [*("--upload-pack=x", "-f", "+main", "a:b", "a..b", "a b", "@{u}", "x~1", "x^", "a*", "a//b", "/a", "a/"),
     *("x.lock", ".x", "a/.b", "a\\b", "a\nb", "")],
)  # fmt: skip
def test_invalid_refs_are_refused(text):
    with pytest.raises(ValueError, match="branch, tag or commit"):
        parse_ref(text)


def test_paths_stay_within_the_repository():
    assert [parse_path(p) for p in ("/", "./a//b/", "specs", ".")] == ["", "a/b", "specs", ""]
    for bad in ("../x", "a/../..", "a\nb", "x/.git", ".GIT"):
        with pytest.raises(ValueError, match=r"."):
            parse_path(bad)


def test_redaction_removes_users_and_secrets():
    said = "unable to access 'https://me:abcdef@h/x': abcdef, also as a%2Fb+cd"

    assert redact(said, ["abcdef", "a/b+cd"]) == "unable to access 'https://h/x': ***, also as a%2Fb+cd"
    assert redact("pw a%2Fb%2Bcd", ["a/b+cd"]) == "pw ***"


def test_the_message_about_a_refused_url_has_no_password():
    with pytest.raises(ConfigError) as caught:
        load({"git": "ftp://me:hunter22@example.com/x"})

    assert "hunter22" not in str(caught.value)
    assert "--git" in str(caught.value)


def test_the_instance_depends_on_url_and_path_not_on_ref_and_credentials():
    def instance(url: str, **more: str) -> str:
        return load({"git": url, **more}).instance

    one = instance("https://example.com/x", git_path="specs")
    assert one == instance("https://me:pw@example.com/x/", git_path="./specs/", git_ref="other")
    assert one != instance("https://example.com/x")
    assert one != instance("https://example.com/y", git_path="specs")


def test_folders_of_a_followed_repository_are_derived():
    settings = load({"git": "https://example.com/x", "git_path": "a/b", "instance": "me"})

    place = settings.state_dir / "git" / "me"
    assert settings.specs == place / "current" / "a" / "b"
    assert settings.status_dir == place / "status"
    assert settings.git_folder == place


def test_a_folder_and_a_repository_in_one_source_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Both a folder"):
        load({"git": "https://example.com/x", "specs": "y"})


def test_a_flag_for_a_folder_wins_over_a_repository_in_the_file(tmp_path):
    (tmp_path / "reconciler.yaml").write_text("git: https://example.com/x\nref: dev\ninterval: 5m\n")

    plain = load({"specs": "y"}, folder=tmp_path)
    followed = load(environ={"RECONCILER_PATH": "z"}, folder=tmp_path)

    assert (plain.git, plain.git_folder, str(plain.specs)) == (None, None, "y")
    assert (followed.git_ref, followed.git_interval, followed.git_path) == ("dev", 300, "z")
