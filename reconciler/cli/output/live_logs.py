"""What jobs print while ``run --wait --logs`` works: every line with its container's name, as compose has it.

Read from the kept logs, which this process's own daemon writes: what was printed before is not repeated. What
fails here (a reader that has gone) must not end the daemon: only a thread ends.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final, Self

from reconciler.cli.output.log_printing import write_log_line
from reconciler.client.jobs.file_tail import FileTail
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.jobs.log_selection import (
    LogSelection,
    find_log_folder,
    list_attempts,
    select_log_files,
)
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import SidecarReader

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.config.settings import Settings

#: Seconds between two looks at the files.
INTERVAL: Final = 0.2
_ALL: Final = LogSelection(all_containers=True)


class LiveLogs:
    """Prints on standard output what all jobs print while the context lasts, and the rest at its end."""

    def __init__(self, settings: Settings) -> None:
        self._log_dir = settings.log_dir
        self._reader = SidecarReader(sidecar_root(settings.specs, settings.status_dir))
        self._files: dict[Path, FileTail] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-logs", daemon=True)

    def __enter__(self) -> Self:
        self._open_new(seen_before=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._print_new()
            for path, file in self._files.items():
                if rest := file.read_unfinished_line():
                    write_log_line(path.stem, f"{path.stem} | ", rest)
            sys.stdout.flush()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._print_new()

    def _print_new(self) -> None:
        self._open_new(seen_before=False)
        for path, file in self._files.items():
            for line in file.read_lines():
                write_log_line(path.stem, f"{path.stem} | ", line)
        sys.stdout.flush()

    def _open_new(self, *, seen_before: bool) -> None:
        """Opens the files of each job's latest attempt; of those there before, only what is added."""
        for status in self._reader.read().jobs().values():
            job = Job(status.namespace, status.name, None, status)
            folder = find_log_folder(job, self._log_dir)
            for attempt in list_attempts(folder):
                for path in select_log_files(job, folder, attempt, _ALL):
                    if path not in self._files:
                        file = self._files[path] = FileTail(path)
                        if seen_before:
                            file.seek_to_tail(0)
