"""Checks of ``reconciler doctor``: the programs with which a repository is followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check, Machine

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

_PACKAGES: Final = {
    "git": {"apt": "git", "dnf": "git", "zypper": "git", "pacman": "git"},
    "ssh": {"apt": "openssh-client", "dnf": "openssh-clients", "zypper": "openssh", "pacman": "openssh"},
    "gpg": {"apt": "gnupg", "dnf": "gnupg2", "zypper": "gpg2", "pacman": "gnupg"},
}


def git_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """What ``--git`` needs; nothing where a folder is read."""
    if settings.git is None:
        return
    from reconciler.sources.git.git_version import OLDEST, OLDEST_TO_VERIFY, as_text, version_in  # noqa: PLC0415

    oldest = OLDEST_TO_VERIFY if settings.git_verify else OLDEST
    said = machine.run(("git", "--version"))
    version = version_in(said) if said is not None else None
    install = machine.install(_PACKAGES["git"])
    if version is None:
        detail = "not installed" if said is None else f"does not say its version: {said.strip()[:80]}"
        yield Check(name="git", status="fail", detail=detail, remedy=install)
    elif version < oldest:
        what = "checks ssh signatures" if version >= OLDEST else "keeps a repository's settings out"
        yield Check(
            name="git",
            status="fail",
            detail=f"{as_text(version)}; one that {what} is {as_text(oldest)} or later",
            remedy=f"{install}; where that is no newer, take it from a later release of the distribution.",
        )
    else:
        yield Check(name="git", status="ok", detail=as_text(version))
    if settings.git.scheme == "ssh":
        yield _program(machine, "ssh", ("ssh", "-V"))
    if settings.git_verify and settings.git_gpg_keys is not None:
        yield _program(machine, "gpg", ("gpg", "--version"))


def _program(machine: Machine, name: str, command: tuple[str, ...]) -> Check:
    if machine.run(command) is not None:
        return Check(name=f"{name} for git", status="ok", detail="installed")
    remedy = machine.install(_PACKAGES[name])
    return Check(name=f"{name} for git", status="fail", detail="not installed", remedy=remedy)
