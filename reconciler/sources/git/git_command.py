"""Runs the git program on behalf of a repository that nobody has vetted.

Git takes orders from its surroundings: configuration of the system, the user and the repository, hooks,
variables, helpers, prompts. Here it gets an environment made from scratch: no configuration but what is said
here, no hooks, no helpers, one protocol, nothing to ask. Time, output and the size of files are limited; when
the daemon stops, a git under way is ended at once, with all it has started.

What can go wrong is told by its kind (:attr:`GitError.reason`), in a sentence without credentials.
"""

from __future__ import annotations

import os
import re
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

from reconciler.config.git_urls import redact
from reconciler.errors import ReconcilerError
from reconciler.sources.git.git_version import OLDEST, as_text, version_of

#: Seconds that one git may take.
TIMEOUT: Final = 120.0
#: No file that git writes (a pack, mostly) may be larger: a repository of manifests is small.
MAX_FILE_BYTES: Final = 1024 * 1024 * 1024
#: Of what git prints, no more is read.
MAX_OUTPUT: Final = 4 * 1024 * 1024
MAX_SAID: Final = 600

#: Taken over from the daemon's own environment: how to reach the network, and whose home it is.
INHERITED: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
)
#: Said through the environment, which nobody else reads; a command line is public.
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


class GitError(ReconcilerError):
    """The repository cannot be followed as it is.

    Args:
        message: what is wrong, without credentials.
        reason: one word, as conditions have it.
        remedy: what to do.
        passing: whether time may mend it (a network, a server) without anybody changing anything.
    """

    def __init__(self, message: str, *, reason: str, remedy: str = "", passing: bool = False) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason
        self.passing = passing


@dataclass(frozen=True, kw_only=True)
class Git:
    """How git is run for one repository.

    Attributes:
        folder: the repository that git works in (``GIT_DIR``); need not exist yet.
        scheme: the one protocol that it may use.
        location: of the remote, for messages.
        configuration: further settings.
        environment: further variables.
        secrets: never to be printed.
        stopped: whether to end at once.
        timeout: seconds for one run.
        max_file: bytes that a file may have.
    """

    folder: Path
    scheme: str
    location: str
    configuration: Mapping[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)
    stopped: Callable[[], bool] = lambda: False
    timeout: float = TIMEOUT
    max_file: int = MAX_FILE_BYTES

    def run(self, *arguments: str) -> bytes:
        """What git prints.

        Raises:
            GitError: it failed, took too long, or is not there.
        """
        status, printed, said = self.attempt(*arguments)
        if status != 0:
            raise explain(self._clean(said), status=status, location=self.location)
        return printed

    def attempt(self, *arguments: str) -> tuple[int, bytes, str]:
        """Exit status, what git prints, and what it says besides.

        Raises:
            GitError: it took too long, or is not there.
        """
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
            process = self._start(arguments, stdin=subprocess.DEVNULL, stdout=printed, stderr=said)
            try:
                self._await(process)
            finally:
                _end(process)
            printed.seek(0)
            return process.returncode, printed.read(MAX_OUTPUT), self._clean(_tail(said))

    @contextmanager
    def talk(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A git whose input and output are pipes; ended with the block, and when its time is over."""
        with tempfile.TemporaryFile() as said:
            process = self._start(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
            guard = threading.Thread(target=self._guard, args=(process,), daemon=True)
            guard.start()
            try:
                yield process
            except (BrokenPipeError, EOFError) as error:
                _end(process)
                raise explain(self._clean(_tail(said)), status=1, location=self.location) from error
            finally:
                _end(process)
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        with suppress(OSError):
                            pipe.close()

    def _guard(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(GitError):
            self._await(process)
        _end(process)

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                if self.stopped():
                    raise GitError("Stopped.", reason="Stopped", passing=True) from None
                if time.monotonic() > deadline:
                    message = f"{self.location}: git took longer than {self.timeout:.0f} s and was ended."
                    raise GitError(message, reason="TimedOut", passing=True) from None
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
        _require_new_enough(program)
        # A limit set between fork and exec would need code in the child; the shell is made for that.
        limited = ("/bin/sh", "-c", f'ulimit -f {self.max_file // 512}; exec "$@"', "sh")
        return subprocess.Popen(
            [*limited, program, "--no-pager", *arguments],
            env=self._surroundings(),
            cwd=self.folder if self.folder.is_dir() else "/",
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def _surroundings(self) -> dict[str, str]:
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

    def _clean(self, text: str) -> str:
        return redact(text, self.secrets)


def _require_new_enough(program: str) -> None:
    """An old git would go by whatever the repository and its server say."""
    version = version_of(program, Path(program).stat().st_mtime_ns)
    if version is not None and version >= OLDEST:
        return
    said = f"is version {as_text(version)}" if version is not None else "does not say its version"
    raise GitError(
        f"{program} {said}; a repository is followed with {as_text(OLDEST)} or later.",
        reason="GitTooOld",
        remedy="`reconciler doctor` says how to get it.",
    )


@dataclass(frozen=True)
class _Kind:
    """A failure that git's own words give away."""

    pattern: str
    reason: str
    message: str
    remedy: str = ""
    passing: bool = False


_CREDENTIALS: Final = (
    "Give a token (--git-token-file, RECONCILER_GIT_TOKEN or the systemd credential git-token) "
    "or, for ssh, a key (--git-ssh-key or the systemd credential git-ssh-key)."
)
#: The first that matches; git says several things at once, the cause before the consequence.
_KINDS: Final = (
    _Kind(
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "HostKeyUnknown",
        "the host's key is not among the known ones",
        "Compare its fingerprint, then add it: ssh-keyscan HOST >> FILE, and --git-known-hosts FILE.",
    ),
    _Kind(
        r"UNPROTECTED PRIVATE KEY|bad permissions",
        "AuthenticationFailed",
        "ssh does not use the key because others may read it",
        "Make it private: chmod 600 FILE.",
    ),
    _Kind(
        r"Authentication failed|could not read (Username|Password)|Permission denied \(|"
        r"returned error: 40[13]|HTTP 40[13]|terminal prompts disabled|unable to get password",
        "AuthenticationFailed",
        "the server does not let us in",
        _CREDENTIALS,
    ),
    _Kind(
        r"dubious ownership",
        "FetchFailed",
        "the repository belongs to another user of this machine",
        "Follow it through ssh, or let the daemon run as that user.",
    ),
    _Kind(r"couldn't find remote ref|not our ref|unadvertised object", "RefNotFound", "it has no such ref"),
    _Kind(
        r"signal 25|File too large|[Ff]ile size limit",
        "TooLarge",
        "what it sends is too large",
        "Keep manifests in a repository of their own, without data.",
    ),
    _Kind(
        r"returned error: 30\d|unable to update url base from redirection",
        "Redirected",
        "it has moved: the server names another URL, which is not followed because of the credentials",
        "Give the URL that it has now.",
    ),
    _Kind(
        r"Could not resolve host|Failed to connect|Connection (refused|timed out|reset)|"
        r"[Nn]etwork is unreachable|No route to host|Operation timed out|early EOF|unexpected disconnect|"
        r"returned error: 5\d\d|Empty reply|SSL|TLS|transfer closed|RPC failed|Connection closed|hung up",
        "FetchFailed",
        "it cannot be reached",
        passing=True,
    ),
    _Kind(
        r"does not appear to be a git repository|[Rr]epository .*not found|returned error: 404|No such file",
        "RepositoryNotFound",
        "there is no repository",
    ),
    _Kind(
        # Nothing else is said when the limit of a file's size ends it.
        r"invalid index-pack output",
        "TooLarge",
        "what it sends is too large, or broken",
        "Keep manifests in a repository of their own, without data.",
    ),
)


def explain(said: str, *, status: int, location: str) -> GitError:
    """What git's words mean for whoever follows a repository."""
    words = "; ".join(
        re.sub(r"^(fatal|error|warning|remote|ssh): ", "", line.strip())
        for line in said.splitlines()
        if line.strip() and not line.startswith("hint:")
    )[:MAX_SAID]
    for kind in _KINDS:
        if re.search(kind.pattern, said):
            message = f"{location}: {kind.message}. Git says: {words}."
            return GitError(message, reason=kind.reason, remedy=kind.remedy, passing=kind.passing)
    ending = f"ended with {status}" if status >= 0 else f"died of {signal.Signals(-status).name}"
    message = f"{location}: git {ending}: {words or 'it said nothing'}."
    return GitError(message, reason="FetchFailed", passing=True)


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 64 * 1024))
    return file.read().decode("utf-8", "replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: helpers, ssh, index-pack."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(10)
