"""The repository's own status file, ``git-repository.status.yaml``, in the manner of Flux's GitRepository.

Written only when it says something new. Its API group is this program's own, so that nobody takes it for the
status of a manifest.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError, StateError
from reconciler.names import SOURCE_API_VERSION, SOURCE_KIND
from reconciler.sources.git.git_source import STATUS_STEM, SUCCEEDED, SourceState
from reconciler.state.atomic_files import read_if_exists, write_atomically
from reconciler.state.sidecar_writer import SUFFIX

#: Of the conditions in the jobs' statuses: whether what the repository says now is in force.
SOURCE_READY: Final = "SourceReady"


def status_file(settings: Settings) -> Path:
    """Where it is."""
    return (settings.status_dir or settings.specs) / f"{STATUS_STEM}{SUFFIX}"


def report(settings: Settings, state: SourceState) -> None:
    """Write the status file, if it would change.

    Raises:
        StateError: the disk refuses.
    """
    text = yaml.safe_dump(document(settings, state), sort_keys=False, allow_unicode=True, width=120).encode()
    path = status_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StateError(f"Cannot make {path.parent}: {error.strerror}.") from error
    if read_if_exists(path) != text:
        write_atomically(path, text)


def document(settings: Settings, state: SourceState) -> dict[str, Any]:
    """What the status file says."""
    spec = {
        "url": str(settings.git),
        "ref": settings.git_ref,
        "path": settings.git_path,
        "interval": f"{settings.git_interval:g}s",
        "verify": settings.git_verify,
    }
    status: dict[str, Any] = {
        "revision": state.revision,
        "ref": state.ref,
        "attemptedRevision": state.attempted,
        "message": state.message,
        "conditions": _conditions(settings, state),
        "failures": state.failures,
    }
    if state.warning:
        status["warning"] = state.warning
    status["errors"] = [
        {"file": f.file, "line": f.line, "path": f.path, "message": f.message} for f in state.faults
    ]
    return {
        "apiVersion": SOURCE_API_VERSION,
        "kind": SOURCE_KIND,
        "metadata": {"name": settings.instance},
        "spec": spec,
        "status": status,
    }


def read_report(settings: Settings) -> dict[str, Any]:
    """What the status file says.

    Raises:
        ReconcilerError: no repository is followed, or no daemon has looked at it yet.
    """
    if settings.git is None:
        raise ReconcilerError(
            f"The manifests come from the folder {settings.specs}, not from a repository.",
            remedy="Name the repository with --git URL, as the daemon has it.",
        )
    text = read_if_exists(status_file(settings))
    found = yaml.safe_load(text) if text is not None else None
    if not isinstance(found, dict):
        raise ReconcilerError(
            f"Nobody has looked at {settings.git} yet.", remedy="A daemon does: reconciler run --git URL."
        )
    return found


def source_of(settings: Settings, state: SourceState, file: str) -> dict[str, str]:
    """``status.source`` of a job whose manifest is ``file``; empty before there is a revision."""
    if not state.revision:
        return {}
    path = Path(file)
    within = str(path.relative_to(settings.specs)) if path.is_relative_to(settings.specs) else path.name
    return {
        "revision": state.revision,
        "path": f"{settings.git_path}/{within}" if settings.git_path else within,
        "repository": str(settings.git),
        "ref": state.ref,
    }


def condition_of(state: SourceState, kind: str = SOURCE_READY) -> dict[str, str]:
    """Whether what the repository says now is in force, as a condition."""
    status = "True" if state.ready else "Unknown" if state.reason == "Progressing" else "False"
    return _condition(kind, status, state.reason, state.message, state.since)


def _conditions(settings: Settings, state: SourceState) -> list[dict[str, str]]:
    found = [condition_of(state, "Ready")]
    if state.revision:
        stored = f"The manifests of {state.revision} are checked out."
        found.append(_condition("ArtifactInStorage", "True", SUCCEEDED, stored))
    else:
        found.append(_condition("ArtifactInStorage", "False", "Absent", "No revision is checked out."))
    if settings.git_verify and state.signature:
        found.append(_condition("SourceVerified", "True", "Succeeded", state.signature, state.since))
    elif settings.git_verify and state.reason == "VerificationFailed":
        found.append(_condition("SourceVerified", "False", state.reason, state.message, state.since))
    return found


def _condition(kind: str, status: str, reason: str, message: str, at: float = 0.0) -> dict[str, str]:
    found = {"type": kind, "status": status, "reason": reason, "message": message}
    if at:
        stamp = datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds")
        found["lastTransitionTime"] = stamp.replace("+00:00", "Z")
    return found
