"""Where kept logs lie: ``<log_dir>/<namespace>/<job>/<attempt>/<container>.log``.

The log collector writes these files, the status names them, the client and the command line read them. Every
such path is built here; whose a folder is, :mod:`~reconciler.state.kept_logs.log_folders` knows. What can go
wrong: the daemon that wrote a sidecar may have another ``log_dir`` than the reader of the logs, so a reader
prefers the path in the sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LOG_SUFFIX: Final = ".log"
#: How many characters of its uid tell a deleted object's folder from others of the same name.
UID_LENGTH: Final = 8


@dataclass(frozen=True, kw_only=True)
class LogLocation:
    """Names the log of one container of one attempt.

    Attributes:
        namespace: of the job.
        job: its name.
        attempt: counts from 0.
        container: the container's name on the engine.
        uid: of the object that the container is of; "" if it is not known.
        current: the object of that uid is the one that there is now: the folder of the name is its own.
    """

    namespace: str
    job: str
    attempt: int
    container: str
    uid: str = ""
    current: bool = False

    def path(self, log_dir: Path) -> Path:
        """Returns the log's file under ``log_dir``, of the object that there is now."""
        job_folder = job_log_folder(log_dir, self.namespace, self.job)
        return log_file(attempt_log_folder(job_folder, self.attempt), self.container)


def job_log_folder(log_dir: Path, namespace: str, job: str) -> Path:
    """Returns the folder with the logs of all attempts of a job."""
    return log_dir / namespace / job


def former_log_folder(folder: Path, uid: str) -> Path:
    """Returns what a job's log folder is renamed to when its object goes: ``<job>.<first 8 of its uid>``."""
    return folder.with_name(f"{folder.name}.{uid[:UID_LENGTH]}")


def attempt_log_folder(job_folder: Path, attempt: int) -> Path:
    """Returns the folder with the logs of one attempt."""
    return job_folder / str(attempt)


def log_file(attempt_folder: Path, container: str) -> Path:
    """Returns the file of a container's log in an attempt's folder."""
    return attempt_folder / f"{container}{LOG_SUFFIX}"
