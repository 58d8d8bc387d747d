"""Checks of the programs with which a repository is followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings
from reconciler.sources.git.git_version import (
    MIN_VERSION,
    MIN_VERSION_FOR_SSH_SIGNATURES,
    format_version,
    parse_version,
)

_PACKAGES: Final = {
    "git": {"apt": "git", "dnf": "git", "zypper": "git", "pacman": "git"},
    "ssh": {"apt": "openssh-client", "dnf": "openssh-clients", "zypper": "openssh", "pacman": "openssh"},
    "gpg": {"apt": "gnupg", "dnf": "gnupg2", "zypper": "gpg2", "pacman": "gnupg"},
}


def git_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Checks what ``--git`` needs; nothing where a folder is read."""
    if settings.git is None:
        return
    yield _check_git(machine, verify=settings.git_verify)
    if settings.git.scheme == "ssh":
        yield _check_program(machine, "ssh", ("ssh", "-V"))
    if settings.git_verify and settings.git_gpg_keys is not None:
        yield _check_program(machine, "gpg", ("gpg", "--version"))


def _check_git(machine: Machine, *, verify: bool) -> Check:
    oldest = MIN_VERSION_FOR_SSH_SIGNATURES if verify else MIN_VERSION
    printed = machine.run(("git", "--version"))
    install = machine.install_command(_PACKAGES["git"])
    if printed is None:
        return fail("git", "not installed", install)
    version = parse_version(printed)
    if version is None:
        return fail("git", f"does not say its version: {printed.strip()[:80]}", install)
    if version < oldest:
        feature = "checks ssh signatures" if version >= MIN_VERSION else "keeps a repository's settings out"
        detail = f"{format_version(version)}; one that {feature} is {format_version(oldest)} or later"
        remedy = f"{install}; where that is no newer, take it from a later release of the distribution."
        return fail("git", detail, remedy)
    return ok("git", format_version(version))


def _check_program(machine: Machine, program: str, command: tuple[str, ...]) -> Check:
    name = f"{program} for git"
    if machine.run(command) is not None:
        return ok(name, "installed")
    return fail(name, "not installed", machine.install_command(_PACKAGES[program]))
