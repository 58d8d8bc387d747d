"""``reconciler diff`` as a process, before and after ``run`` has done what it says."""

from __future__ import annotations

import json
import shutil

from tests.cli.processes import ENGINE, run, write_job
from tests.cli.samples import trainjob, write


def test_new_job_then_nothing(specs):
    write_job(specs, "print('done')")

    status, out, _ = run("diff", *ENGINE)
    assert status == 1
    assert "+ container demo-node-0 (default/demo)" in out
    assert json.loads(run("diff", *ENGINE, "-o", "json")[1])["changes"][0]["job"] == "default/demo"

    assert run("run", *ENGINE, "--wait")[0] == 0
    assert run("diff", *ENGINE)[:2] == (0, "")

    # The sidecar is enough for `run` to know that it has ended; so it is for `diff`.
    shutil.rmtree(specs.parent / "state" / "reconciler" / "records")
    assert run("diff", *ENGINE)[:2] == (0, "")


def test_refused_ignored_and_deleted_jobs(specs):
    # None of them ends by itself while the test goes on, however slow the machine is.
    script = "import time; time.sleep(600); print({})"
    write_job(specs, script.format(1), nodes=1)
    write_job(specs, script.format(1), name="gone", nodes=1)
    assert run("run", *ENGINE, "--once")[0] == 0
    try:
        write_job(specs, script.format(2), nodes=1)
        (specs / "gone.yaml").unlink()
        shutil.rmtree(specs.parent / "state" / "reconciler" / "records")
        (specs / "gone.status.yaml").unlink()
        other = trainjob("elsewhere", runtime="plain")
        write(
            specs / "elsewhere.yaml",
            {**other, "spec": {**other["spec"], "managedBy": "kueue.x-k8s.io/multikueue"}},
        )

        _, out, _ = run("diff", *ENGINE)
        assert "- container gone-node-0 (default/gone): its manifest was removed" in out
        assert "elsewhere" not in out

        assert run("run", *ENGINE, "--once")[0] == 0
        write_job(specs, script.format(3), nodes=1)
        (specs / "half.yaml").write_text("spec: [\n")
        status, out, _ = run("diff", *ENGINE)
        assert status == 1
        assert "! refuse job demo (default/demo): The change was refused" in out
        assert f"! refuse manifest {specs.absolute() / 'half.yaml'}: " in out
        assert "container" not in out, out
    finally:
        (specs / "half.yaml").unlink(missing_ok=True)
        (specs / "demo.yaml").unlink()
        assert run("run", *ENGINE, "--once")[0] == 0
