"""The suite of the engines and whole jobs once more, as an ordinary user with that user's own Podman.

Each test here runs a file of tests in a pytest of its own, as a user made for it: daemon, paths and sockets are the
user's. What fails inside fails here, with its output; what is skipped inside is told as a warning, with the reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support import engines, extent, images, rootless

ROOT = rootless.ROOT
#: Files with tests that look at a running Podman; those of one engine's or one library's own are not among them.
ENGINE_FILES = sorted(
    path.name
    for path in (ROOT / "tests" / "engines").glob("test_*.py")
    if "mark.engine" in path.read_text() and "docker" not in path.name
)
#: Of root's Podman and an ordinary user's the same: pulls, streams of logs and events, an engine that goes. Left to
#: long runs.
SAME_FOR_ROOT = {
    "test_image_pull.py",
    "test_container_logs.py",
    "test_engine_events.py",
    "test_engine_loss.py",
}
#: Whole jobs: the training, names and addresses, a crash of the daemon, whose the files are, progress.
JOBS = (
    ("e2e/test_training.py", "podman and three_nodes_train"),
    ("e2e/test_training.py", "podman and (find_each_other or killed_daemon or leaves_nothing)"),
    ("e2e/test_training.py", "podman and openmpi"),
    ("e2e/test_rights.py", ""),
    ("lifecycle/test_progress.py", "podman and (crash_of_the_daemon or rerun_job)"),
)
SECONDS = 280
#: Else some of the tests named above would be left to Docker.
EVERY_ENGINE = {"RECONCILER_TEST_LONG": "1"}


@pytest.fixture(scope="session")
def user() -> Iterator[rootless.User]:
    """A user with its own running Podman that has the test image."""
    with engines.using_engines():
        try:
            yield rootless.ensure_engine()
        except (engines.EngineMissing, images.ImageMissing) as error:
            pytest.skip(f"rootless Podman: {error}")


def _run(user: rootless.User, *arguments: str) -> None:
    with rootless.scratch(user) as scratch:
        report = scratch / "report.xml"
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", "-n0",
            f"--basetemp={scratch / 't'}", f"--junitxml={report}", f"--timeout={SECONDS - 60}", *arguments,
        ]  # fmt: skip
        done = subprocess.run(
            rootless.command(user, command, EVERY_ENGINE), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", timeout=SECONDS, check=False,
        )  # fmt: skip
        said = done.stdout[-8000:] + done.stderr[-2000:]
        assert done.returncode == 0, f"as {user.name}, {done.args[-1]}:\n{said}"
        _tell(report, said)


def _tell(report: Path, said: str) -> None:
    """Something was tested; what was not is said."""
    cases = ET.parse(report).findall(".//testcase")
    skipped = [(case.get("name"), skip.get("message")) for case in cases for skip in case.findall("skipped")]
    assert len(cases) > len(skipped), said
    for name, reason in skipped:
        warnings.warn(f"skipped for an ordinary user: {name}: {reason}", stacklevel=2)


@pytest.mark.engine
@pytest.mark.parametrize("file", [file for file in ENGINE_FILES if extent.LONG or file not in SAME_FOR_ROOT])
def test_the_engine_suite_passes_for_an_ordinary_user(user: rootless.User, file: str) -> None:
    _run(user, f"tests/engines/{file}", "-m", "engine", "-k", "not docker and not process")


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(("file", "which"), JOBS, ids=lambda value: re.sub(r"\W+", "_", value)[:40])
def test_jobs_run_for_an_ordinary_user(user: rootless.User, file: str, which: str) -> None:
    try:
        rootless.share_site(user, images.ensure_site())
        if "openmpi" in which:
            images.ensure_image("podman", "mpi", url=user.url)
    except images.ImageMissing as error:
        pytest.skip(str(error))

    _run(user, f"tests/{file}", "-k", which)


@pytest.mark.engine
def test_nothing_of_the_machine_is_opened_to_the_user(user: rootless.User) -> None:
    """The user's programs see Python and a usable tun; the machine's own permissions stay as they are."""
    before = [Path(path).stat().st_mode for path in ("/root", "/dev/net/tun")]
    script = "import os; print(os.getuid(), os.access('/dev/net/tun', os.W_OK), os.path.exists('/root/.ssh'))"

    done = subprocess.run(
        rootless.command(user, [sys.executable, "-c", script]), capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == [str(user.uid), "True", "False"]
    assert [Path(path).stat().st_mode for path in ("/root", "/dev/net/tun")] == before
