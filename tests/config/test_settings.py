"""Settings: precedence, parsing, and faults that name their place."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from reconciler.config.settings import OPTIONS, Settings, derive_instance
from reconciler.config.settings_file import FILE_NAME
from reconciler.errors import ConfigError
from tests.config.loading import load


def write(folder: Path, text: str) -> Path:
    path = folder / FILE_NAME
    path.write_text(text)
    return path


def test_every_field_is_an_option_except_the_derived_ones():
    derived = {"policy", "config_file", "grants"}

    assert {option.name for option in OPTIONS} | derived == {field.name for field in fields(Settings)}


def test_defaults_are_those_of_the_contract():
    settings = load()

    assert settings.specs == Path("specs")
    assert (settings.engine, settings.pull_policy, settings.auto_remove) == ("auto", "IfNotPresent", True)
    assert settings.state_dir == Path("/nowhere/.local/state/reconciler")
    assert settings.log_dir == Path("/nowhere/.local/state/reconciler/logs")
    assert settings.resync == 30


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path):
    write(tmp_path, "engine: podman\npull-policy: Never\nresync: 5m\n")
    environ = {"RECONCILER_PULL_POLICY": "Always", "RECONCILER_RESYNC": "7"}

    settings = load({"resync": "9s", "engine": None}, environ=environ, folder=tmp_path)

    assert (settings.engine, settings.pull_policy, settings.resync) == ("podman", "Always", 9)
    assert settings.log_level == "info"


def test_the_users_file_is_read_where_the_folder_has_none(tmp_path):
    place = tmp_path / "reconciler"
    place.mkdir()
    write(place, "max-jobs: 3\n")

    settings = load(environ={"XDG_CONFIG_HOME": str(tmp_path)}, folder=place.parent)

    assert settings.max_jobs == 3


def test_keys_may_be_spelt_as_in_the_sdk(tmp_path):
    write(
        tmp_path,
        "container_runtime: docker\npullPolicy: never\nruntime_source: [a, b]\npolicy: {privileged: false}\n",
    )

    settings = load(folder=tmp_path)

    assert (settings.engine, settings.pull_policy, settings.runtime_sources) == (
        "docker",
        "Never",
        ("a", "b"),
    )


def test_paths_in_the_file_are_relative_to_its_folder(tmp_path):
    path = write(tmp_path, "specs: manifests\nstatus-dir: /var/status\n")

    settings = load(config_file=path)

    assert settings.specs == tmp_path / "manifests"
    assert settings.status_dir == Path("/var/status")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("engine: podman\npul-policy: Never\n", 2, ["pul-policy", "did you mean pull-policy?"]),
        ("\nengine: dcoker\n", 2, ["'dcoker' is not one of auto, docker", "did you mean docker?"]),
        ("resync: soon\n", 1, ["'soon' is not a duration"]),
        ("resync: 0\n", 1, ["longer than 0"]),
        ("max-jobs: none\n", 1, ["whole number"]),
        ("auto-remove: maybe\n", 1, ["neither true nor false"]),
        ("address-pool: [10.0.0.0/33]\n", 1, ["CIDR"]),
        ("engine: a\nengine: b: c\n", 2, ["not YAML"]),
        ("resync: 5s\nmax-jobs: !!int\n", 2, ["does not fit its tag"]),
        ("auto-remove: !!bool perhaps\n", 1, ["does not fit its tag"]),
        ("- a\n- b\n", 1, ["must be a mapping"]),
        ("engine: podman\ncontainer_runtime: docker\n", 2, ["given twice"]),
        ("instance: -x\n", 1, ["label value"]),
    ],
)
def test_a_fault_in_the_file_names_file_line_and_suggestion(tmp_path, text, line, words):
    write(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        load(folder=tmp_path)

    said = str(caught.value)
    assert said.startswith(f"{FILE_NAME}:{line}:")
    for word in words:
        assert word in said


def test_a_fault_in_a_variable_names_it():
    with pytest.raises(ConfigError, match=r"RECONCILER_ENGINE: 'x' is not one of"):
        load(environ={"RECONCILER_ENGINE": "x"})


def test_a_misspelt_variable_is_refused_and_unrelated_ones_are_ignored():
    load(environ={"RECONCILER_SOMETHING_ELSE": "1", "RECONCILER_DEBUG": "1"})

    with pytest.raises(ConfigError, match="Did you mean RECONCILER_PULL_POLICY"):
        load(environ={"RECONCILER_PUL_POLICY": "Never"})


def test_an_empty_variable_counts_as_unset():
    assert load(environ={"RECONCILER_ENGINE": ""}).engine == "auto"


def test_a_file_given_by_name_must_exist(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load(config_file=tmp_path / "none.yaml")


def test_lists_are_repeated_flags_or_comma_separated():
    assert load({"runtime_sources": ("a", "b")}).runtime_sources == ("a", "b")
    assert load(environ={"RECONCILER_RUNTIME_SOURCE": "a, b"}).runtime_sources == ("a", "b")
    assert load({"address_pool": ("10.0.0.0/16",)}).address_pool == ("10.0.0.0/16",)


def test_the_instance_is_derived_from_the_absolute_path_without_following_links(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    link = tmp_path / "specs"
    link.symlink_to("a")
    before = derive_instance(link)
    link.unlink()
    link.symlink_to("b")
    monkeypatch.chdir(tmp_path)

    assert derive_instance(link) == before == Settings(specs=Path("specs")).instance
    assert len(before) == 12
    assert Settings(specs=Path("other")).instance != before
    assert Settings(instance="mine").instance == "mine"


def test_the_log_folder_is_below_the_state_folder_unless_given(tmp_path):
    assert load({"state_dir": str(tmp_path)}).log_dir == tmp_path / "logs"
    assert load({"state_dir": str(tmp_path), "log_dir": "/logs"}).log_dir == Path("/logs")
