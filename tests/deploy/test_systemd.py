"""The user service on a real systemd: installed, stuck, restarted, stopped, and after a power cut.

One machine for all of them (it takes some seconds to boot), a folder and a service for each. The jobs are on a
Podman whose socket the machine has, as a user has it; some are processes inside the machine.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml

from reconciler.config.settings import derive_instance
from tests.support import engines, images
from tests.support.booted import BootError, Machine, booted
from tests.support.manifests import runtime, shell
from tests.support.private_engines import PrivateEngine, private_engine
from tests.support.workspaces import ROOT, Workspace, eventually, unique

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("booted")]

WAIT = "trap 'exit 143' TERM; echo up; while [ ! -e {flag} ]; do sleep 0.1; done; echo done"


@pytest.fixture(scope="module")
def engine() -> Iterator[PrivateEngine]:
    """A Podman whose socket a user may use."""
    try:
        with engines.using_engines(), private_engine("podman") as one:
            one.folder.chmod(0o755)
            Path(one.url.removeprefix("unix://")).chmod(0o666)
            images.ensure_image("podman", url=one.url)
            yield one
    except (engines.EngineMissing, images.ImageMissing) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def machine(engine: PrivateEngine) -> Iterator[Machine]:
    try:
        with booted(engine.url, [engine.folder]) as one:
            yield one
    except (BootError, images.ImageMissing) as error:
        pytest.skip(str(error))


@dataclass
class Service:
    """A folder of the machine's user, and the service on it."""

    machine: Machine
    folder: str
    unit: str
    options: tuple[str, ...]

    def install(self, *flags: str) -> str:
        return self.machine.reconciler(
            "systemd", "install", "--specs", self.folder, *flags, "--now", "--", *self.options
        ).stdout

    def run(self, job: str, script: str, *, retried: bool = False) -> str:
        """A job of one node that runs a script, once more where that fails and ``retried``; its manifest."""
        manifest = f"{self.folder}/{job}.yaml"
        policy = {"job": {"backoffLimit": 3}, "pod": {"restartPolicy": "OnFailure"}} if retried else {}
        documents = [runtime(f"rt-{job}", images.reference(), **policy), shell(job, f"rt-{job}", script)]
        self.machine.write(manifest, yaml.safe_dump_all(documents))
        return manifest

    def systemctl(self, verb: str) -> None:
        self.machine.user("systemctl", "--user", verb, self.unit)

    def property(self, name: str) -> str:
        return self.machine.property(self.unit, name)


@pytest.fixture
def service(machine: Machine, engine: PrivateEngine, tmp_path: Path) -> Iterator[Service]:
    """A service to be installed, with jobs on Podman; what it leaves is removed."""
    folder = f"{machine.home}/{unique('jobs')}"
    options = ("--engine", "podman", "--container-host", engine.url, "--resync", "2")
    workspace = Workspace(tmp_path, "podman", engine.url, instance=derive_instance(Path(folder)))
    with _installable(machine, folder, options) as one:
        yield one
    workspace.clean()


@pytest.fixture
def processes(machine: Machine) -> Iterator[Service]:
    """A service whose jobs are processes inside the machine."""
    with _installable(
        machine, f"{machine.home}/{unique('jobs')}", ("--engine", "process", "--resync", "2")
    ) as one:
        yield one


@contextlib.contextmanager
def _installable(machine: Machine, folder: str, options: tuple[str, ...]) -> Iterator[Service]:
    try:
        yield Service(machine, folder, "reconciler.service", options)
    finally:
        machine.reconciler("systemd", "uninstall", check=False)
        drop_ins = f"{machine.home}/.config/systemd/user/reconciler.service.d"
        machine.user("sh", "-c", f"rm -rf {shlex.quote(folder)}/* {drop_ins}; systemctl --user daemon-reload")


def containers(engine: PrivateEngine, job: str) -> list[str]:
    """Ids of a job's containers that run, by the engine."""
    client = docker.DockerClient(base_url=engine.url, timeout=120)
    try:
        found = client.containers.list(filters={"label": f"kubeflow.org/job-name={job}"}, sparse=True)
        return sorted(container.id for container in found)
    finally:
        client.close()


def raise_flag(engine: PrivateEngine, job: str, flag: str = "/tmp/go") -> None:
    """Let the node of a job go on that waits for a file."""
    client = docker.DockerClient(base_url=engine.url, timeout=120)
    try:
        assert client.containers.get(f"{job}-node-0").exec_run(["touch", flag]).exit_code == 0
    finally:
        client.close()


def test_a_service_that_is_installed_runs_what_is_dropped_into_its_folder(service: Service) -> None:
    job = unique("dropped")
    said = service.install("--linger")

    assert f"Wrote {service.machine.home}/.config/systemd/user/reconciler.service" in said
    assert "Undo: systemctl --user disable reconciler.service" in said
    service.machine.until_phase(service.run(job, "echo trained"), "Complete")
    assert service.machine.reconciler("logs", "--specs", service.folder, job).stdout.strip() == "trained"
    eventually(lambda: "1 job: 1 Complete; podman" in service.property("StatusText"), "the status line")

    shown = service.machine.reconciler("systemd", "status")
    assert "active (running)" in shown.stdout
    assert "1 job: 1 Complete" in shown.stdout
    assert "without a sign of life, the last one" in shown.stdout
    assert "at boot  started" in shown.stdout

    again = service.machine.reconciler(
        "systemd", "install", "--specs", f"{service.machine.home}/other", check=False
    )
    assert again.returncode == 2
    assert "Use" not in again.stdout
    assert "--template" in again.stderr

    gone = service.machine.reconciler("systemd", "uninstall").stdout
    assert "Stopped and disabled reconciler.service" in gone
    assert service.machine.status(f"{service.folder}/{job}.yaml")["phase"] == "Complete"
    assert service.machine.reconciler("systemd", "status", check=False).returncode == 1


def test_restart_and_stop_leave_the_containers_alone(service: Service, engine: PrivateEngine) -> None:
    job = unique("stays")
    service.install()
    manifest = service.run(job, WAIT.format(flag="/tmp/go"))
    service.machine.until_phase(manifest, "Running")
    before = containers(engine, job)
    assert len(before) == 1

    service.systemctl("restart")
    service.machine.until_phase(manifest, "Running")
    assert containers(engine, job) == before
    service.systemctl("stop")
    assert service.property("Result") == "success"
    assert containers(engine, job) == before
    service.systemctl("start")
    raise_flag(engine, job)

    assert service.machine.until_phase(manifest, "Complete")["restarts"] == 0


def test_a_restart_leaves_the_processes_alone(processes: Service) -> None:
    job = unique("stays")
    flag = f"{processes.folder}/.go"
    processes.install()
    manifest = processes.run(job, WAIT.format(flag=flag))
    processes.machine.until_phase(manifest, "Running")

    before = processes.machine.root("pgrep", "--full", flag).stdout
    processes.systemctl("restart")
    assert processes.machine.root("pgrep", "--full", flag).stdout == before
    processes.machine.user("touch", flag)

    assert processes.machine.until_phase(manifest, "Complete")["restarts"] == 0


def test_a_loop_that_is_stuck_is_restarted_by_the_watchdog(processes: Service) -> None:
    job = unique("stuck")
    machine = processes.machine
    drop_in = f"{processes.machine.home}/.config/systemd/user/reconciler.service.d/watchdog.conf"
    machine.write(drop_in, "[Service]\nWatchdogSec=6\n")
    processes.install()
    eventually(lambda: "; process" in processes.property("StatusText"), "it works")
    first = processes.property("MainPID")
    # Somebody holds the process engine's own lock and never lets go: the next pass waits for it for ever.
    lock = f"{processes.machine.home}/.local/state/reconciler/process/lock"
    hold = f"flock {lock} sh -c 'echo $$ > /tmp/held; exec sleep 1000' > /dev/null 2>&1 & echo"
    machine.user("sh", "-c", hold)
    eventually(lambda: machine.user("test", "-s", "/tmp/held", check=False).returncode == 0, "it is held")
    holder = machine.user("cat", "/tmp/held").stdout.strip()

    manifest = processes.run(job, "echo trained")
    eventually(lambda: "no sign of life from" in machine.journal(), "it notices", seconds=60)
    eventually(lambda: "watchdog" in machine.journal().lower(), "the manager acts", seconds=60)
    machine.root("kill", holder)

    machine.until_phase(manifest, "Complete")
    assert processes.property("MainPID") != first
    assert int(processes.property("NRestarts")) >= 1
    journal = machine.journal()
    assert "Failed with result 'watchdog'" in journal
    # Where it hung, for whoever has to find out why.
    assert "Current thread" in journal or "Thread 0x" in journal


def test_a_service_has_its_credentials_and_a_reload_reads_the_configuration_again(
    processes: Service,
) -> None:
    job = unique("second")
    machine = processes.machine
    config = f"{processes.machine.home}/.config/reconciler/reconciler.env"
    machine.write(config, "RECONCILER_MAX_JOBS=1\n")
    machine.write(f"{processes.machine.home}/.config/reconciler/credentials/git-token", "t0ken\n")
    flag = f"{processes.folder}/.go"
    try:
        processes.install()
        first = processes.run(unique("first"), WAIT.format(flag=flag))
        machine.until_phase(first, "Running")
        manifest = processes.run(job, "echo trained")
        machine.until_phase(manifest, "Queued")
        pid = processes.property("MainPID")
        environment = machine.root("cat", f"/proc/{pid}/environ").stdout.split("\0")
        folder = next(v for v in environment if v.startswith("CREDENTIALS_DIRECTORY=")).partition("=")[2]
        assert machine.user("cat", f"{folder}/git-token").stdout == "t0ken\n"
        assert machine.user("cat", f"{folder}/registry-auth").stdout.strip() == ""

        machine.write(config, "RECONCILER_MAX_JOBS=2\n")
        processes.systemctl("reload")

        machine.until_phase(manifest, "Complete")
        assert processes.property("MainPID") == pid
        machine.user("touch", flag)
        machine.until_phase(first, "Complete")
    finally:
        machine.user("rm", "-r", f"{processes.machine.home}/.config/reconciler")


def test_a_folder_of_any_name_has_an_instance(machine: Machine) -> None:
    folder, other = f"{machine.home}/{unique('my jobs & 100%')}", f"{machine.home}/{unique('other')}"
    job = unique("job")
    manifest = f"{folder}/{job}.yaml"
    try:
        machine.reconciler("systemd", "install", "--template", "--specs", folder, "--specs", other)
        unit = machine.user(
            "systemd-escape", "--path", "--template=reconciler@.service", folder
        ).stdout.strip()
        machine.write(f"{machine.home}/.config/reconciler/{unit[11:-8]}.env", "RECONCILER_ENGINE=process\n")
        machine.user("systemctl", "--user", "start", unit)
        documents = [runtime("rt", images.reference()), shell(job, "rt", "true")]
        machine.write(manifest, yaml.safe_dump_all(documents))
        machine.until_phase(manifest, "Complete")
        shown = machine.reconciler("systemd", "status", check=False)
        assert shown.returncode == 1, "the other one does not run"
        assert folder in shown.stdout
        assert other in shown.stdout
        machine.reconciler("systemd", "uninstall", "--specs", other)
        assert other not in machine.reconciler("systemd", "status").stdout
    finally:
        machine.reconciler("systemd", "uninstall", check=False)
        machine.user("rm", "-rf", f"{machine.home}/.config/reconciler")


def test_the_commands_of_the_page_work(machine: Machine) -> None:
    page = (ROOT / "docs" / "systemd.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    config = f"{machine.home}/.config/reconciler"
    machine.write(f"{config}/reconciler.env", "RECONCILER_ENGINE=process\n")
    path = f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"
    try:
        for block in blocks:
            done = machine.user("env", path, "bash", "-ec", block)
            if "reconciler logs" in block:
                assert done.stdout.strip().endswith("hello")
    finally:
        machine.reconciler("systemd", "uninstall", check=False)
        machine.user(
            "rm", "-rf", config, *(f"{machine.home}/{name}" for name in ("jobs", "research", "courses"))
        )


def test_a_stop_waits_for_jobs_that_are_stopped_on_exit(processes: Service) -> None:
    job, machine = unique("saves"), processes.machine
    drop_in = f"{processes.machine.home}/.config/systemd/user/reconciler.service.d/stop.conf"
    # Less than the job takes: the daemon asks for more time, again and again.
    machine.write(drop_in, "[Service]\nTimeoutStopSec=2\n")
    processes.options += ("--stop-jobs-on-exit",)
    processes.install()
    save = f"sleep 5; touch {processes.folder}/.saved; exit 143"
    waits = f"trap '{save}' TERM; while [ ! -e {processes.folder}/.go ]; do sleep 0.1; done"
    manifest = processes.run(job, waits)
    machine.until_phase(manifest, "Running")

    processes.systemctl("stop")

    assert processes.property("Result") == "success"
    machine.user("test", "-e", f"{processes.folder}/.saved")
    assert machine.status(manifest)["phase"] == "Queued"
    machine.user("touch", f"{processes.folder}/.go")
    processes.systemctl("start")
    machine.until_phase(manifest, "Complete")


def test_jobs_go_on_after_a_power_cut(service: Service, engine: PrivateEngine) -> None:
    machine, job = service.machine, unique("survives")
    ended, flag = (
        Service(machine, f"{service.machine.home}/{unique('local')}", "", ()),
        f"{service.machine.home}/.go-on",
    )
    command = (
        "systemd",
        "install",
        "--template",
        "--specs",
        ended.folder,
        "--now",
        "--",
        "--engine",
        "process",
    )
    machine.reconciler(*command)
    local = ended.run(unique("local"), WAIT.format(flag=flag), retried=True)
    machine.until_phase(local, "Running")
    service.install("--linger")
    manifest = service.run(job, WAIT.format(flag="/tmp/go"))
    service.machine.until_phase(manifest, "Running")
    before = containers(engine, job)

    machine.power_cut()

    eventually(lambda: service.property("ActiveState") == "active", "the service runs from boot on")
    assert service.machine.until_phase(manifest, "Running")["phase"] == "Running"
    assert containers(engine, job) == before
    raise_flag(engine, job)
    service.machine.until_phase(manifest, "Complete")
    # And the machine goes on to take new ones.
    machine.until_phase(service.run(unique("next"), "true"), "Complete")
    # What ran inside the machine has ended with it, and runs again.
    machine.user("touch", flag)
    machine.until_phase(local, "Complete")
