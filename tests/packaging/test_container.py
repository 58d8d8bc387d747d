"""The reconciler as a container beside the jobs it runs: the image, the Quadlet unit, the mounted socket."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import quadlets
from tests.packaging.builds import ROOT, BuildFailed, run, wheels_of_dependencies
from tests.support import images
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.engine]

QUADLET = ROOT / "packaging" / "quadlet" / "reconciler.container"
JOB = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {job}}}
data: {{greeting: hello from a file}}
---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {{name: {job}}}
spec:
  runtimeRef: {{name: plain}}
  trainer:
    image: {image}
    numNodes: 2
    command: [sh, -c, 'echo "$(cat /given/greeting), rank $RANK"']
  runtimePatches:
    - manager: example.com/test
      trainingRuntimeSpec:
        template:
          spec:
            replicatedJobs:
              - name: node
                template:
                  spec:
                    template:
                      spec:
                        volumes: [{{name: given, configMap: {{name: {job}}}}}]
                        containers:
                          - name: node
                            volumeMounts: [{{name: given, mountPath: /given}}]
"""


@pytest.fixture
def image(podman: str, wheel: Path, tmp_path: Path) -> Iterator[str]:
    """The image of packaging/Containerfile, on the tests' base image and without a network."""
    if shutil.which("podman") is None:
        pytest.skip("the podman command is not installed")
    try:
        base = images.ensure_image("podman", url=podman)
        wheels = wheels_of_dependencies(wheel)
    except (images.ImageMissing, BuildFailed) as error:
        pytest.skip(str(error))
    context = tmp_path / "context"
    shutil.copytree(wheels, context / "wheels")
    shutil.copy(wheel, context / "wheels")
    pip = next((context / "wheels").glob("pip-*.whl")).name
    tag = f"localhost/{unique('reconciler')}:latest"
    run(
        "podman", "--url", podman, "build", "--quiet", "--layers=false", "--tag", tag, "--network", "none",
        "--build-arg", f"BASE={base}", "--build-arg", f"PIP=python3 /wheels/{pip}/pip",
        "--build-arg", "PIP_OPTIONS=--no-index",
        "--file", str(ROOT / "packaging" / "Containerfile"), str(context),
    )  # fmt: skip
    yield tag
    run("podman", "--url", podman, "rmi", "--force", tag)


@pytest.fixture
def unit(image: str, podman: str, tmp_path: Path) -> Iterator[tuple[str, Workspace]]:
    """The Quadlet unit's container, its folders at the same paths inside and outside."""
    home = tmp_path / "home"
    name = unique("reconciler")
    workspace = Workspace(
        home, "podman", podman, settings={"STATE_DIR": str(home / ".local/state/reconciler")}
    )
    (home / "jobs").mkdir()
    (home / ".local/state/reconciler").mkdir(parents=True)
    sections = quadlets.read(QUADLET)
    socket = podman.removeprefix("unix://")
    specifiers = {"%t/podman/podman.sock": socket, "%h": str(home)}
    arguments = quadlets.run_arguments(sections, specifiers)
    arguments[arguments.index("--name") + 1] = name
    arguments[arguments.index("localhost/reconciler:latest")] = image
    run(
        "podman", "--url", podman, "run", "--detach", "--env", f"RECONCILER_INSTANCE={workspace.instance}",
        *arguments,
    )  # fmt: skip
    try:
        yield name, workspace
    finally:
        with contextlib.suppress(BuildFailed):
            run("podman", "--url", podman, "stop", "--time", "30", name)
        run("podman", "--url", podman, "rm", "--force", name)
        workspace.clean()


def test_a_job_dropped_into_the_mounted_folder_completes(unit: tuple[str, Workspace], podman: str) -> None:
    name, workspace = unit
    jobs = workspace.root / "jobs"
    job = unique("boxed")

    part = jobs / ".job.part"
    part.write_text(JOB.format(job=job, image=images.reference()))
    part.rename(jobs / "job.yaml")

    def logs() -> str:
        return run("podman", "--url", podman, "logs", name)

    status = jobs / "job.status.yaml"
    try:
        eventually(lambda: status.exists() and "phase: Complete" in status.read_text(), "the job", seconds=90)
    except AssertionError:
        print(logs(), status.read_text() if status.exists() else "no status")
        raise
    log = workspace.root / ".local/state/reconciler/logs/default" / job / "0" / f"{job}-node-1.log"
    assert "hello from a file, rank 1" in log.read_text()
    assert job in run("podman", "--url", podman, "exec", name, "reconciler", "get", "jobs")
    assert "is the host's" in run("podman", "--url", podman, "exec", name, "reconciler", "doctor")
    run("podman", "--url", podman, "stop", "--time", "30", name)
    assert run("podman", "--url", podman, "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"


def test_the_quadlet_unit_has_keys_that_podman_knows() -> None:
    sections = quadlets.read(QUADLET)

    assert set(sections) == {"Unit", "Container", "Service", "Install"}
    assert {key for key, _ in sections["Container"]} <= quadlets.CONTAINER_KEYS
    single = dict(sections["Container"])
    assert single["Image"].startswith("localhost/"), "no registry is written into the project"


def test_the_quadlet_unit_mounts_every_folder_at_its_own_path() -> None:
    sections = quadlets.read(QUADLET)

    for key, value in sections["Container"]:
        if key == "Volume":
            inside, outside = value.split(":")[:2]
            assert inside == outside


def test_the_units_own_sections_are_what_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    sections = quadlets.read(QUADLET)
    lines: list[str] = []
    for title in ("Unit", "Service", "Install"):
        lines += [f"[{title}]", *(f"{key}={value}" for key, value in sections[title])]
        lines += ["ExecStart=/bin/true"] if title == "Service" else []
    service = tmp_path / "reconciler.service"
    service.write_text("\n".join(lines) + "\n")
    for other in ("podman.socket", "network-online.target"):
        text = "[Socket]\nListenStream=/run/x\n" if other.endswith("socket") else "[Unit]\n"
        (tmp_path / other).write_text(text)
    (tmp_path / "podman.service").write_text("[Service]\nExecStart=/bin/true\n")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", service], capture_output=True, text=True,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path),
             "XDG_RUNTIME_DIR": str(tmp_path)}, check=False,
    )  # fmt: skip

    assert "reconciler.service" not in done.stderr, done.stderr
