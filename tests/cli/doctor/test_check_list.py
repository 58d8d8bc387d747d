"""``reconciler doctor`` as a command: all checks, whatever is wrong."""

from __future__ import annotations

import json

import pytest

from tests.cli.samples import trainjob, write


def test_process_engine(cli, specs):
    write(specs / "job.yaml", trainjob())

    done = cli("doctor", "--engine", "process", "-o", "json")

    report = json.loads(done.stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["engine"]["status"] == "ok"
    assert checks["manifests"]["status"] == "ok"
    assert done.exit_code == (0 if report["ok"] else 1)
    assert cli("doctor", "--engine", "process").stdout.startswith("✓  engine")


def test_no_engine_fails_with_a_remedy(cli, specs, tmp_path):
    socket = f"unix://{tmp_path}/none.sock"

    done = cli("doctor", "--engine", "podman", "--container-host", socket, "-o", "json")

    assert done.exit_code == 1
    engine = json.loads(done.stdout)["checks"][0]
    assert (engine["name"], engine["status"]) == ("engine", "fail")
    assert "none.sock" in engine["detail"]
    assert engine["remedy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--engine", "podman", "--container-host", "unix:///none/x.sock"),
        ("--engine", "docker", "--container-host", "tcp://127.0.0.1:1"),
        ("--container-host", "/none/x.sock"),
        ("--container-host", "ftp://nobody"),
        ("--container-host", "ssh://nobody@127.0.0.1:1/x"),
        (
            "--engine",
            "podman",
            "--network-test",
            "--pull-test",
            "x",
            "--container-host",
            "unix:///none/x.sock",
        ),
        ("--engine", "process", "--network-test", "--specs", "/none/specs"),
    ],
)
def test_every_failed_check_has_a_remedy(cli, arguments):
    done = cli("doctor", "-o", "json", *arguments)

    report = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [check for check in report["checks"] if check["status"] != "ok" and not check["remedy"]] == []
    assert {"engine", "manifests", "clock"} <= {check["name"] for check in report["checks"]}
