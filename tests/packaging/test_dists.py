"""What a user installs: the wheel and the sdist, whole, valid and working."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from reconciler import __version__
from tests.packaging.builds import ROOT, run

pytestmark = pytest.mark.xdist_group("packaging")


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel; its ``bin``.

    What the wheel requires is lent by the tests' own environment, so that no network is needed.
    """
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python))
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    site = next(home.glob("lib/python*/site-packages"))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata_of(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_the_wheel_has_what_the_program_needs(wheel: Path) -> None:
    names = members(wheel)

    for runtime in (ROOT / "specs" / "runtimes").iterdir():
        assert f"reconciler/builtin/{runtime.name}" in names
    for unit in (ROOT / "systemd").iterdir():
        assert f"reconciler/units/{unit.name}" in names
    assert "reconciler/py.typed" in names
    data = {name.split(".data/data/")[1] for name in names if ".data/data/" in name}
    assert "share/man/man1/reconciler.1" in data
    assert "share/trainjob-reconciler/quadlet/reconciler.container" in data
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


def test_the_metadata_is_what_an_index_accepts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        found = Metadata.from_email(archive.read(name), validate=True)

    assert found.name == "trainjob-reconciler"
    assert str(found.version) == __version__
    assert found.description_content_type == "text/markdown"
    assert "reconciler" in (found.description or "")


def test_the_extras_name_what_an_engine_needs(wheel: Path) -> None:
    metadata = metadata_of(wheel)

    extras = set(metadata.get_all("Provides-Extra") or ())
    required = metadata.get_all("Requires-Dist") or []
    plain = {text for text in required if "extra ==" not in text}
    assert extras == {"podman", "docker", "torch"}
    for client in ("podman", "docker"):
        assert any(text.startswith(client) for text in plain), "`auto` asks both engines"
        assert any(text.startswith(client) and f"extra == '{client}'" in text for text in required)


def test_the_sdist_is_enough_to_build_and_to_test(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    for wanted in (
        "pyproject.toml", "Makefile", "LICENSE", "README.md", "CHANGELOG.md", "docs/architecture.md",
        "scripts/run_tests.py", "scripts/lint.sh", "tests/conftest.py", "tests/support/engines.py",
        "crds/trainer.kubeflow.org_trainjobs.yaml", "specs/examples/hello.yaml", "man/reconciler.1",
        "packaging/Containerfile", "systemd/reconciler.service", "packaging/quadlet/reconciler.container", "reconciler/py.typed",
    ):  # fmt: skip
        assert wanted in names, wanted
    assert not [name for name in names if name.endswith((".pyc", ".whl")) or ".venv" in name]


def test_the_requirements_of_the_wheel_are_met_by_what_is_tested(installed: Path) -> None:
    python = str(installed / "python")

    run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "check")


def test_the_installed_command_runs_a_job(installed: Path, tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RECONCILER_", "XDG_", "PYTHONPATH"))}
    environment = kept | {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    hello = ROOT / "specs" / "examples" / "hello.yaml"
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "hello.yaml").write_bytes(hello.read_bytes())

    def reconciler(*arguments: str) -> str:
        done = subprocess.run(
            [installed / "reconciler", *arguments], env=environment, cwd=tmp_path, text=True, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert reconciler("--version").strip() == f"reconciler {__version__}"
    assert "2 objects in 1 file: valid" in reconciler("validate", str(jobs))
    reconciler("run", "--specs", "jobs", "--wait", "--engine", "process")
    assert "Hello from node 1 of 2" in reconciler("logs", "hello", "--specs", "jobs", "--node", "1")
    assert "torch-distributed" in reconciler("get", "runtimes", "--specs", "jobs")


def test_the_installed_package_is_the_one_that_was_built(installed: Path) -> None:
    place = run(str(installed / "python"), "-P", "-c", "import reconciler; print(reconciler.__file__)")

    assert str(installed.parent) in place
