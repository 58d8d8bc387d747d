"""What git's messages mean for the user of a repository: a reason, a sentence and a remedy."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.api.faults import Fault
from reconciler.errors import ReconcilerError

#: Characters of git's own words in a message.
MAX_QUOTED: Final = 600


class GitError(ReconcilerError):
    """The repository cannot be synced as it is.

    Args:
        message: what is wrong, without credentials.
        reason: one word, as conditions have it.
        remedy: what to do.
        transient: whether time may mend it (a network, a server) without anybody changing anything.
        faults: of the commit, where it is rejected because of its manifests.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        remedy: str = "",
        transient: bool = False,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason
        self.transient = transient
        self.faults = tuple(faults)


@dataclass(frozen=True)
class _Failure:
    """A failure that git's own words identify."""

    pattern: str
    reason: str
    message: str
    remedy: str = ""
    transient: bool = False


_CREDENTIALS: Final = (
    "Give a token (--git-token-file, RECONCILER_GIT_TOKEN or the systemd credential git-token) "
    "or, for ssh, a key (--git-ssh-key or the systemd credential git-ssh-key)."
)
#: The first that matches counts: git says several things at once, the cause before the consequence.
_FAILURES: Final = (
    _Failure(
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "HostKeyUnknown",
        "the host's key is not among the known ones",
        "Compare its fingerprint, then add it: ssh-keyscan HOST >> FILE, and --git-known-hosts FILE.",
    ),
    _Failure(
        r"UNPROTECTED PRIVATE KEY|bad permissions",
        "AuthenticationFailed",
        "ssh does not use the key because others may read it",
        "Make it private: chmod 600 FILE.",
    ),
    _Failure(
        r"Authentication failed|could not read (Username|Password)|Permission denied \(|"
        r"returned error: 40[13]|HTTP 40[13]|terminal prompts disabled|unable to get password",
        "AuthenticationFailed",
        "the server does not let us in",
        _CREDENTIALS,
    ),
    _Failure(
        r"dubious ownership",
        "FetchFailed",
        "the repository belongs to another user of this machine",
        "Follow it through ssh, or let the daemon run as that user.",
    ),
    _Failure(
        r"couldn't find remote ref|not our ref|unadvertised object", "RefNotFound", "it has no such ref"
    ),
    _Failure(
        r"signal 25|File too large|[Ff]ile size limit",
        "TooLarge",
        "what it sends is too large",
        "Keep manifests in a repository of their own, without data.",
    ),
    _Failure(
        r"returned error: 30\d|unable to update url base from redirection",
        "Redirected",
        "it has moved: the server names another URL, which is not followed because of the credentials",
        "Give the URL that it has now.",
    ),
    _Failure(
        r"Could not resolve host|Failed to connect|Connection (refused|timed out|reset)|"
        r"[Nn]etwork is unreachable|No route to host|Operation timed out|early EOF|unexpected disconnect|"
        r"returned error: 5\d\d|Empty reply|SSL|TLS|transfer closed|RPC failed|Connection closed|hung up",
        "FetchFailed",
        "it cannot be reached",
        transient=True,
    ),
    _Failure(
        r"does not appear to be a git repository|[Rr]epository .*not found|returned error: 404|No such file",
        "RepositoryNotFound",
        "there is no repository",
    ),
    _Failure(
        # Git says nothing else when the limit of a file's size ends it.
        r"invalid index-pack output",
        "TooLarge",
        "what it sends is too large, or broken",
        "Keep manifests in a repository of their own, without data.",
    ),
)


def explain_failure(stderr: str, *, status: int, location: str) -> GitError:
    """The error for a git that failed with this exit status."""
    words = "; ".join(
        re.sub(r"^(fatal|error|warning|remote|ssh): ", "", line.strip())
        for line in stderr.splitlines()
        if line.strip() and not line.startswith("hint:")
    )[:MAX_QUOTED]
    for failure in _FAILURES:
        if re.search(failure.pattern, stderr):
            message = f"{location}: {failure.message}. Git says: {words}."
            return GitError(
                message, reason=failure.reason, remedy=failure.remedy, transient=failure.transient
            )
    ending = f"ended with {status}" if status >= 0 else f"died of {signal.Signals(-status).name}"
    message = f"{location}: git {ending}: {words or 'it said nothing'}."
    return GitError(message, reason="FetchFailed", transient=True)
