"""``reconciler describe``: one job on one page."""

from __future__ import annotations

import json

from tests.cli.samples import sidecar, trainjob, write


def test_all_sections(cli, running):
    done = cli("describe", "demo")

    assert done.exit_code == 0
    for part in (
        *("Phase:", "Running", "Manifest:", "specs/job.yaml", "Runtime:", "ClusterTrainingRuntime/ours"),
        *(
            "podman 4.3.1",
            "demo-net 10.1.0.0/24",
            "demo-node-1",
            "10.1.0.3",
            "rank [1] died",
            "40%",
            "loss:",
            "0.5",
        ),
        *("state/reconciler/logs/default/demo",),
    ):
        assert part in done.stdout, part


def test_faults_of_the_manifest(cli, specs):
    write(specs / "job.yaml", trainjob(trainer={"numNodes": -1}))

    done = cli("describe", "demo")

    assert done.exit_code == 0
    assert "Faults:" in done.stdout
    assert "specs/job.yaml:9: spec.trainer.numNodes:" in done.stdout

    # The daemon's status names the file in full.
    errors = json.loads(cli("validate", "specs/job.yaml", "-o", "json").stdout)["errors"]
    errors = [{**error, "file": str(specs.absolute() / "job.yaml")} for error in errors]
    refused = {"file": str(specs.absolute() / "job.yaml"), "line": 0, "path": "spec", "message": "refused"}
    write(specs / "job.status.yaml", sidecar(phase="Invalid", errors=[*errors, refused]))
    both = cli("describe", "demo").stdout
    assert both.count("spec.trainer.numNodes:") == done.stdout.count("spec.trainer.numNodes:")
    assert "specs/job.yaml: spec: refused" in both


def test_missing_job_fails(cli, specs):
    assert cli("describe", "demo").exit_code == 1
