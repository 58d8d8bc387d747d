"""All checks of ``reconciler doctor``, in the order of its report. A new family of checks is added here.

An engine that stops answering in the middle of a family ends that family, not the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.cli.doctor.check import Check, fail, ok
from reconciler.cli.doctor.clock_checks import clock_checks
from reconciler.cli.doctor.device_checks import device_checks
from reconciler.cli.doctor.engine_checks import engine_checks
from reconciler.cli.doctor.engine_socket_checks import engine_socket_checks
from reconciler.cli.doctor.folder_checks import folder_checks
from reconciler.cli.doctor.git_checks import git_checks
from reconciler.cli.doctor.image_checks import check_pull, image_checks, list_folder_images
from reconciler.cli.doctor.kernel_checks import kernel_checks
from reconciler.cli.doctor.leftover_checks import leftover_checks
from reconciler.cli.doctor.network_test import run_network_test
from reconciler.cli.doctor.state_mount_checks import state_mount_checks
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings
from reconciler.controller.daemon.engine_connection import connect
from reconciler.engines.protocol import Engine
from reconciler.errors import ReconcilerError


def run_checks(settings: Settings, *, pull_test: str, network_test: bool, image: str) -> Iterator[Check]:
    """Runs all checks.

    Args:
        settings: in force.
        pull_test: an image to pull; "": none.
        network_test: let two containers find each other.
        image: for the network test; "": the first of the folder's that the engine has.
    """
    machine = Machine()
    try:
        engine = connect(settings)
        info = engine.info()
    except ReconcilerError as error:
        yield fail("engine", error.message, error.remedy)
        yield from engine_socket_checks(settings, machine)
    else:
        try:
            who = f"{info.name} {info.version}" + (", rootless" if info.rootless else "")
            size = f"{info.cpus:g} CPUs, {info.memory / 1024**3:.1f} GiB"
            yield ok("engine", f"{who} at {info.host or 'this process'}; {size}")
            yield from engine_checks(info, machine)
            yield from _guard("GPUs", device_checks(engine, machine))
            yield from _guard("containers of this folder", leftover_checks(engine, settings))
            yield from _guard("images", image_checks(engine, info, settings, machine))
            tests = _requested_tests(engine, settings, pull_test, network_test=network_test, image=image)
            yield from _guard("trials", tests)
        finally:
            engine.close()
    yield from folder_checks(settings, machine)
    yield from git_checks(settings, machine)
    yield from state_mount_checks(settings, machine)
    yield from kernel_checks(settings, machine)
    yield from clock_checks(settings, machine)


def _requested_tests(
    engine: Engine, settings: Settings, pull_test: str, *, network_test: bool, image: str
) -> Iterator[Check]:
    if pull_test:
        yield check_pull(engine, pull_test)
    if not network_test:
        return
    if not image and engine.name != "process":
        image = next((each for each in list_folder_images(settings) if engine.image_exists(each)), "")
        if not image:
            remedy = "Name an image that has python3: --image IMAGE"
            yield fail("network test", "no image that the folder names is there", remedy)
            return
    yield run_network_test(engine, image)


def _guard(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    try:
        yield from checks
    except ReconcilerError as error:
        yield fail(name, error.message, error.remedy or "Run reconciler doctor again.")
