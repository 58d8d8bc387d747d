"""The repository's own status file, ``git-repository.status.yaml``, in the manner of Flux's GitRepository.

Written only when it changes. Its API group is this program's own, so that nobody takes it for the
status of a manifest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError, StateError
from reconciler.names import SOURCE_API_VERSION, SOURCE_KIND
from reconciler.sources.git.git_source import PROGRESSING, STATUS_STEM, SUCCEEDED, RepositoryState
from reconciler.state.atomic_files import read_if_exists, write_atomically
from reconciler.state.sidecar_files import SIDECAR_SUFFIX, sidecar_root
from reconciler.state.status_documents import error_entries
from reconciler.state.timestamps import format_time

#: Condition in the jobs' statuses: whether what the repository has now is in force.
SOURCE_READY: Final = "SourceReady"


def repository_status_file(settings: Settings) -> Path:
    """The path of the status file."""
    return sidecar_root(settings.specs, settings.status_dir) / f"{STATUS_STEM}{SIDECAR_SUFFIX}"


def write_repository_status(settings: Settings, state: RepositoryState) -> None:
    """Write the status file, if it would change.

    Raises:
        StateError: the disk refuses.
    """
    document = repository_document(settings, state)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120).encode()
    path = repository_status_file(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StateError(f"Cannot make {path.parent}: {error.strerror}.") from error
    if read_if_exists(path) != text:
        write_atomically(path, text)


def repository_document(settings: Settings, state: RepositoryState) -> dict[str, Any]:
    """Build the content of the status file."""
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
        "attemptedRevision": state.attempted_revision,
        "message": state.message,
        "conditions": _conditions(settings, state),
        "failures": state.failures,
    }
    if state.warning:
        status["warning"] = state.warning
    status["errors"] = error_entries(state.faults)
    return {
        "apiVersion": SOURCE_API_VERSION,
        "kind": SOURCE_KIND,
        "metadata": {"name": settings.instance},
        "spec": spec,
        "status": status,
    }


def read_repository_status(settings: Settings) -> dict[str, Any]:
    """Read the status file.

    Raises:
        ReconcilerError: no repository is followed, or no daemon has synced with it yet.
    """
    if settings.git is None:
        raise ReconcilerError(
            f"The manifests come from the folder {settings.specs}, not from a repository.",
            remedy="Name the repository with --git URL, as the daemon has it.",
        )
    text = read_if_exists(repository_status_file(settings))
    document = yaml.safe_load(text) if text is not None else None
    if not isinstance(document, dict):
        raise ReconcilerError(
            f"Nobody has looked at {settings.git} yet.", remedy="A daemon does: reconciler run --git URL."
        )
    return document


def job_source(settings: Settings, state: RepositoryState, file: str) -> dict[str, str]:
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


def ready_condition(state: RepositoryState, kind: str = SOURCE_READY) -> dict[str, str]:
    """The condition whether what the repository has now is in force."""
    status = "True" if state.ready else "Unknown" if state.reason == PROGRESSING else "False"
    return _condition(kind, status, state.reason, state.message, state.since)


def _conditions(settings: Settings, state: RepositoryState) -> list[dict[str, str]]:
    found = [ready_condition(state, "Ready")]
    if state.revision:
        message = f"The manifests of {state.revision} are checked out."
        found.append(_condition("ArtifactInStorage", "True", SUCCEEDED, message))
    else:
        found.append(_condition("ArtifactInStorage", "False", "Absent", "No revision is checked out."))
    if settings.git_verify and state.signature:
        found.append(_condition("SourceVerified", "True", "Succeeded", state.signature, state.since))
    elif settings.git_verify and state.reason == "VerificationFailed":
        found.append(_condition("SourceVerified", "False", state.reason, state.message, state.since))
    return found


def _condition(kind: str, status: str, reason: str, message: str, at: float = 0.0) -> dict[str, str]:
    condition = {"type": kind, "status": status, "reason": reason, "message": message}
    return condition | {"lastTransitionTime": format_time(at)} if at else condition
