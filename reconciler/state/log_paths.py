"""Where kept logs lie: ``<log_dir>/<namespace>/<job>/<attempt>/<container>.log``.

The log collector writes these files, the status names them, the client and the command line read them. Every
such path is built here. What can go wrong: the daemon that wrote a sidecar may have another ``log_dir`` than
the reader of the logs, so a reader prefers the path in the sidecar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LOG_SUFFIX: Final = ".log"


@dataclass(frozen=True, kw_only=True)
class LogLocation:
    """Names the log of one container of one attempt; ``container`` is the container's name on the engine."""

    namespace: str
    job: str
    attempt: int
    container: str

    def path(self, log_dir: Path) -> Path:
        """Returns the log's file under ``log_dir``."""
        job_folder = job_log_folder(log_dir, self.namespace, self.job)
        return log_file(attempt_log_folder(job_folder, self.attempt), self.container)


def job_log_folder(log_dir: Path, namespace: str, job: str) -> Path:
    """Returns the folder with the logs of all attempts of a job."""
    return log_dir / namespace / job


def attempt_log_folder(job_folder: Path, attempt: int) -> Path:
    """Returns the folder with the logs of one attempt."""
    return job_folder / str(attempt)


def log_file(attempt_folder: Path, container: str) -> Path:
    """Returns the file of a container's log in an attempt's folder."""
    return attempt_folder / f"{container}{LOG_SUFFIX}"
