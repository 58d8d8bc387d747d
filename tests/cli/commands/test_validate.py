"""``reconciler validate``: the contract of its output and exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.samples import trainjob, write

CONFORMANCE = Path(__file__).resolve().parents[3].parent / "shared" / "conformance" / "validation.yaml"


def cases() -> list[Any]:
    if not CONFORMANCE.is_file():
        return []
    return [pytest.param(c, id=c["name"]) for c in yaml.safe_load(CONFORMANCE.read_text())]


def expand(value: Any) -> Any:
    """``{$text: a, $times: N}`` and ``{$item: X, $times: N}`` of the conformance data."""
    if isinstance(value, dict):
        if "$text" in value:
            return value["$text"] * value["$times"]
        return {key: expand(item) for key, item in value.items()}
    if isinstance(value, list):
        out: list[Any] = []
        for item in value:
            if isinstance(item, dict) and "$item" in item:
                text = json.dumps(expand(item["$item"]))
                out += [json.loads(text.replace("${i}", str(i))) for i in range(item["$times"])]
            else:
                out.append(expand(item))
        return out
    return value


@pytest.mark.skipif(not CONFORMANCE.is_file(), reason=f"the conformance data is not at {CONFORMANCE}")
@pytest.mark.parametrize("case", cases())
def test_conformance(cli, home, case):
    path = home / "folder" / "all.yaml"
    if "raw" in case:
        path.parent.mkdir()
        path.write_text(case["raw"])
    else:
        write(path, *expand(case["manifests"]))
    arguments = []
    if "update_of" in case:
        arguments = ["--against", write(home / "old.yaml", expand(case["update_of"]))]

    done = cli("validate", path.parent, "-o", "json", *arguments)

    report = json.loads(done.stdout)
    if "verdict" in case:
        assert done.exit_code == {"accept": 0, "reject": 1}[case["verdict"]], done.stdout
    errors = json.dumps(report["errors"], ensure_ascii=False).lower()
    for part in case.get("reason_contains", []):
        assert str(part).lower() in errors
    for part in case.get("warns_contains", []):
        assert str(part).lower() in json.dumps(report["warnings"]).lower()
    if "line" in case:
        assert case["line"] in [error["line"] for error in report["errors"]]


def test_valid_folder_prints_nothing_on_standard_output(cli, specs):
    write(specs / "job.yaml", trainjob())

    done = cli("validate", specs)

    assert (done.exit_code, done.stdout) == (0, "")
    assert "2 objects in 2 files: valid" in done.stderr


def test_fault_has_file_line_path_and_message(cli, specs):
    write(specs / "job.yaml", trainjob(trainer={"numNodes": "two"}))

    done = cli("validate", specs)

    assert done.exit_code == 1
    assert done.stdout.startswith("specs/job.yaml:9: spec.trainer.numNodes: ") or done.stdout.startswith(
        f"{specs}/job.yaml:9: spec.trainer.numNodes: "
    )


def test_json_has_the_keys_of_the_contract(cli, specs):
    write(specs / "job.yaml", trainjob(trainer={"numNodes": -1}, namespace="team-a"))

    done = cli("validate", "specs", "-o", "json")

    (error,) = json.loads(done.stdout)["errors"]
    assert set(error) == {"file", "line", "path", "message", "object"}
    assert error["file"] == "specs/job.yaml"
    assert error["path"] == "spec.trainer.numNodes"
    assert error["object"] == "TrainJob/team-a/demo"
    assert json.loads(done.stdout)["warnings"] == []


def test_files_and_folders_count_as_one_folder(cli, specs):
    first = write(specs.parent / "a.yaml", trainjob(runtime="theirs"))
    again = write(specs.parent / "b.yaml", trainjob(runtime="ours"))

    done = cli("validate", specs, first, again)

    assert done.exit_code == 1
    assert "a.yaml" in done.stdout
    assert "b.yaml" in done.stdout


def test_standard_input(cli, specs):
    manifest = yaml.safe_dump(trainjob(trainer={"numNodes": -1}))

    done = cli("validate", specs, "-", stdin=manifest)

    assert done.exit_code == 1
    assert "<stdin>:9: spec.trainer.numNodes" in done.stdout


def test_built_in_runtimes_are_used(cli, home):
    path = write(home / "job.yaml", trainjob(runtime="torch-distributed"))

    assert cli("validate", path).exit_code == 0


def test_missing_file_is_a_fault_in_json(cli):
    done = cli("validate", "none.yaml", "-o", "json")

    assert done.exit_code == 1
    (error,) = json.loads(done.stdout)["errors"]
    assert (error["file"], error["line"]) == ("none.yaml", 0)


def test_sidecars_and_hidden_files_are_read_only_when_named(cli, specs):
    broken = specs / "job.status.yaml"
    broken.write_text("a: [\n")
    (specs / ".hidden.yaml").write_text("a: [\n")

    assert cli("validate", specs).exit_code == 0
    assert cli("validate", broken).exit_code == 1


def test_against_reports_changes_of_immutable_fields(cli, specs):
    old = write(specs.parent / "old" / "job.yaml", trainjob())
    write(specs / "job.yaml", trainjob(runtime="torch-distributed"))

    assert cli("validate", specs).exit_code == 0
    for before in (old, old.parent):
        done = cli("validate", specs, "--against", before)
        assert done.exit_code == 1
        assert "spec.runtimeRef" in done.stdout


def test_warnings_do_not_fail(cli, specs):
    runtime = yaml.safe_load((specs / "runtime.yaml").read_text())
    pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"a": "b"}
    write(specs / "runtime.yaml", runtime)

    done = cli("validate", specs)

    assert done.exit_code == 0
    assert " warning: " in done.stdout
    assert "1 warning" in done.stderr
