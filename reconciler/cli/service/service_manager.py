"""The user's systemd, asked through its own programs: ``systemctl``, ``loginctl``, ``journalctl``.

What can go wrong: there is no systemd (a container, another init system); there is one, but none of this user
(no session, and lingering is off); a shell that ``su`` has made does not know the user's bus. Each is a
sentence with what to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reconciler.cli.machine import Machine
from reconciler.errors import ReconcilerError

#: Seconds for one of the programs; a restart waits until the daemon is ready.
_TIMEOUT: Final = 150.0


class ServiceManager:
    """The service manager of this user."""

    def __init__(self) -> None:
        self._machine = Machine()
        self.user = self._machine.user

    def require_systemd(self) -> None:
        """Raises ReconcilerError where this machine is not run by systemd."""
        if not self._machine.has_systemd or shutil.which("systemctl") is None:
            raise ReconcilerError(
                "This machine is not run by systemd, so there is no user service.",
                remedy="Run `reconciler run` under what starts services here; SIGTERM ends it, jobs go on.",
            )

    def require(self) -> None:
        """Raises ReconcilerError where this user has no service manager that answers."""
        self.require_systemd()
        done = self._run("systemctl", "--user", "show-environment")
        if done.returncode != 0:
            raise ReconcilerError(
                f"The service manager of {self.user} does not answer: {_last_line(done.stderr)}",
                remedy=f"Log in as {self.user} (not by su or sudo), or let it run without a session: "
                f"`loginctl enable-linger {self.user}`, or --linger here.",
            )

    def systemctl(self, *arguments: str) -> str:
        """Runs ``systemctl --user ARGUMENTS`` and returns what it prints.

        Raises:
            ReconcilerError: it failed, in its own words.
        """
        return self._output_of("systemctl", "--user", *arguments)

    def properties(self, unit: str, *names: str) -> Mapping[str, str]:
        """Returns properties of a unit."""
        text = self.systemctl("show", unit, f"--property={','.join(names)}")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def list_instances(self) -> list[str]:
        """Returns the instances of the template that are enabled or loaded."""
        found: set[str] = set()
        for verb in ("list-unit-files", "list-units"):
            # It fails where there is none.
            done = self._run(
                "systemctl",
                "--user",
                verb,
                "--all",
                "--plain",
                "--no-legend",
                "--full",
                "reconciler@*.service",
            )
            names = (line.split()[0] for line in done.stdout.splitlines() if line.strip())
            found.update(name for name in names if not name.startswith("reconciler@."))
        return sorted(found)

    def instance_for(self, folder: Path) -> str:
        """Returns the name of the template's instance for a folder."""
        return self._output_of(
            "systemd-escape", "--path", "--template=reconciler@.service", "--", str(folder)
        ).strip()

    def folder_of(self, instance: str) -> str:
        """Returns the folder of an instance of the template."""
        return self._output_of("systemd-escape", "--unescape", "--path", "--instance", "--", instance).strip()

    def journal(self, unit: str, lines: int) -> Sequence[str]:
        """Returns the last lines of a unit's log; none where there is no journal to read."""
        done = self._run(
            "journalctl", "--user", f"--user-unit={unit}", f"--lines={lines}", "--no-pager", "--output=cat",
            "--quiet",
        )  # fmt: skip
        return [line for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []

    def is_lingering(self) -> bool:
        """Whether this user's services run without a session, from boot on."""
        return self._machine.exists(f"/var/lib/systemd/linger/{self.user}")

    def enable_linger(self) -> None:
        """Lets this user's services run without a session.

        Raises:
            ReconcilerError: the system does not allow it to this user.
        """
        done = self._run("loginctl", "enable-linger", self.user)
        if done.returncode != 0:
            raise ReconcilerError(
                f"Lingering cannot be enabled for {self.user}: {_last_line(done.stderr)}",
                remedy=f"Ask an administrator for `loginctl enable-linger {self.user}`.",
            )

    def _output_of(self, *command: str) -> str:
        done = self._run(*command)
        if done.returncode != 0:
            raise ReconcilerError(f"`{' '.join(command)}` failed: {_last_line(done.stderr)}")
        return done.stdout

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ) | {"LC_ALL": "C.UTF-8"}
        runtime = f"/run/user/{self._machine.uid}"
        # A shell of su's or of cron's does not know the place of the user's bus; it is always this one.
        if not environment.get("XDG_RUNTIME_DIR") and self._machine.exists(f"{runtime}/bus"):
            environment["XDG_RUNTIME_DIR"] = runtime
        try:
            return subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_TIMEOUT,
                check=False,
            )
        except FileNotFoundError:
            return subprocess.CompletedProcess(command, 127, "", f"there is no {command[0]}")
        except subprocess.TimeoutExpired:
            message = f"it takes longer than {_TIMEOUT:.0f} s"
            return subprocess.CompletedProcess(command, 124, "", message)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") + "." if lines else "it does not say why."
