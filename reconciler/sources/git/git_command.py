"""Runs the git program on a repository that nobody has vetted.

Git obeys its surroundings: configuration of the system, the user and the repository, hooks, variables,
helpers, prompts. Here it gets an environment made from scratch: no configuration but the one below, no hooks,
no helpers, one protocol, nothing to ask. Time, output and the size of files are limited; when the daemon
stops, a running git is ended at once, with all it has started.

Failures are :class:`~reconciler.sources.git.git_errors.GitError`, with a reason, in a sentence without
credentials.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from reconciler.common.descriptor_limit import inherited_limit
from reconciler.common.path_presence import is_folder
from reconciler.config.git_urls import redact
from reconciler.sources.git.git_errors import GitError, explain_failure
from reconciler.sources.git.git_version import MIN_VERSION, format_version, installed_version

#: Seconds that one git may take.
TIMEOUT: Final = 120.0
#: No file that git writes (a pack, mostly) may be larger: a repository of manifests is small.
MAX_FILE_BYTES: Final = 1024 * 1024 * 1024
#: No more than this of git's output is read.
MAX_OUTPUT: Final = 4 * 1024 * 1024
#: The same of its messages, from the end.
MAX_STDERR: Final = 64 * 1024

#: Variables inherited from the daemon's own environment: how to reach the network, and whose home it is.
INHERITED: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
)
#: Passed through the environment, which nobody else reads; a command line is public.
CONFIGURATION: Final[Mapping[str, str]] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "protocol.allow": "never",
    "protocol.ext.allow": "never",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "submodule.recurse": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "gpg.program": "/bin/false",
    "gpg.x509.program": "/bin/false",
    "gpg.ssh.allowedSignersFile": "/dev/null",
}


@dataclass(frozen=True, kw_only=True)
class GitCommand:
    """Runs git for one repository.

    Attributes:
        folder: the repository that git works in (``GIT_DIR``); need not exist yet.
        scheme: the one protocol that it may use.
        location: URL of the remote, without credentials.
        configuration: further settings.
        environment: further variables.
        secrets: never to be printed.
        stopped: whether to end at once.
    """

    folder: Path
    scheme: str
    location: str
    configuration: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)
    stopped: Callable[[], bool] = lambda: False

    def run(self, *arguments: str) -> bytes:
        """Run git and return its output.

        Raises:
            GitError: it failed, took too long, or is not there.
        """
        status, stdout, stderr = self.attempt(*arguments)
        if status != 0:
            raise explain_failure(stderr, status=status, location=self.location)
        return stdout

    def attempt(self, *arguments: str) -> tuple[int, bytes, str]:
        """Run git and return its exit status, output and messages.

        Raises:
            GitError: it took too long, or is not there.
        """
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            process = self._start(arguments, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
            try:
                self._wait(process)
            finally:
                _kill(process)
            stdout.seek(0)
            return process.returncode, stdout.read(MAX_OUTPUT), self._messages(stderr)

    @contextmanager
    def pipes(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run git with pipes for input and output; it ends with the block, and when its time is over.

        Raises:
            GitError: it ended too early (BrokenPipeError or EOFError in the block), or is not there.
        """
        with tempfile.TemporaryFile() as stderr:
            process = self._start(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
            guard = threading.Thread(target=self._enforce_limits, args=(process,), daemon=True)
            guard.start()
            try:
                yield process
            except (BrokenPipeError, EOFError) as error:
                _kill(process)
                raise explain_failure(self._messages(stderr), status=1, location=self.location) from error
            finally:
                _kill(process)
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        with suppress(OSError):
                            pipe.close()

    def _enforce_limits(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(GitError):
            self._wait(process)
        _kill(process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                if self.stopped():
                    raise GitError("Stopped.", reason="Stopped", transient=True) from None
                if time.monotonic() > deadline:
                    message = f"{self.location}: git took longer than {TIMEOUT:.0f} s and was ended."
                    raise GitError(message, reason="TimedOut", transient=True) from None
            else:
                return

    def _start(
        self, arguments: Sequence[str], *, stdin: int, stdout: IO[bytes] | int, stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        program = shutil.which("git")
        if program is None:
            raise GitError(
                "The git program is not there.",
                reason="GitMissing",
                remedy="Install it (Debian: apt-get install git).",
            )
        _require_min_version(program)
        # A limit set between fork and exec would need code in the child; the shell is made for that.
        limits = f"ulimit -f {MAX_FILE_BYTES // 512}"
        if (descriptors := inherited_limit()) is not None:
            limits += f"; ulimit -S -n {descriptors}"
        limited = ("/bin/sh", "-c", f'{limits}; exec "$@"', "sh")
        return subprocess.Popen(
            [*limited, program, "--no-pager", *arguments],
            env=self._process_environment(),
            cwd=self.folder if is_folder(self.folder) else "/",
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def _process_environment(self) -> dict[str, str]:
        configuration = {
            **CONFIGURATION,
            f"protocol.{self.scheme}.allow": "always",
            **self.configuration,
        }
        numbered = {f"GIT_CONFIG_KEY_{n}": key for n, key in enumerate(configuration)}
        numbered |= {f"GIT_CONFIG_VALUE_{n}": value for n, value in enumerate(configuration.values())}
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "LC_ALL": "C.UTF-8",
            "GIT_DIR": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": self.scheme,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "SSH_ASKPASS": "/bin/false",
            "SSH_ASKPASS_REQUIRE": "never",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_ADVICE": "0",
            "GNUPGHOME": "/nonexistent",
            **numbered,
            "GIT_CONFIG_COUNT": str(len(configuration)),
            **self.environment,
        }

    def _messages(self, stderr: IO[bytes]) -> str:
        """The end of git's messages, without credentials."""
        size = stderr.seek(0, os.SEEK_END)
        stderr.seek(max(0, size - MAX_STDERR))
        return redact(stderr.read().decode("utf-8", "replace"), self.secrets)


def _require_min_version(program: str) -> None:
    """Refuse an old git, which would obey the repository's and its server's settings."""
    version = installed_version(program, Path(program).stat().st_mtime_ns)
    if version is not None and version >= MIN_VERSION:
        return
    found = f"is version {format_version(version)}" if version is not None else "does not say its version"
    raise GitError(
        f"{program} {found}; a repository is followed with {format_version(MIN_VERSION)} or later.",
        reason="GitTooOld",
        remedy="`reconciler doctor` says how to get it.",
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: helpers, ssh, index-pack."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
