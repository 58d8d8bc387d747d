"""``TrainerClient``: training from Python through manifests in a folder.

The client writes manifests, and reads status sidecars and logs; it shares nothing but these files with what
runs the jobs. That is a daemon on the folder (``reconciler run``), or without one a controller in this
process, until the process ends (:mod:`reconciler.client.embedded.embedded_controller`).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from reconciler.client.backends.container.types import DEFAULT_SOURCES, ContainerBackendConfig
from reconciler.client.client_errors import InvalidRequest, JobNotFound, NameInUse, NoEngine, WaitTimeout
from reconciler.client.constants import constants
from reconciler.client.embedded.client_settings import load_client_settings
from reconciler.client.embedded.embedded_controller import (
    EmbeddedController,
    close_controller,
    ensure_controller,
)
from reconciler.client.embedded.host_path_grants import add_grants
from reconciler.client.jobs.folder_watcher import FolderWatcher
from reconciler.client.jobs.job_snapshots import Job, Snapshot, SnapshotReader
from reconciler.client.jobs.job_wait import Callback, check_arguments, wait_for_status
from reconciler.client.jobs.log_lines import build_selection, check_selection, follow_lines, read_lines
from reconciler.client.jobs.progress_display import ProgressBar
from reconciler.client.jobs.trainjob_objects import build_events, build_trainjob, requested_runtime
from reconciler.client.manifests.job_removal import remove_by_name
from reconciler.client.manifests.manifest_editor import remove_job
from reconciler.client.manifests.submission import Option, build_submission, render_checked
from reconciler.client.manifests.trainer_spec import Trainer
from reconciler.client.runtime_objects import parse_runtime, parse_runtimes, select_runtimes
from reconciler.client.types.types import Event, Initializer, Runtime, TrainerType, TrainJob
from reconciler.common.suggestions import did_you_mean
from reconciler.errors import StateError
from reconciler.names import DEFAULT_NAMESPACE, job_key
from reconciler.state.atomic_files import write_atomically
from reconciler.state.phases import ENDED_PHASES
from reconciler.state.sidecar_files import SIDECAR_SUFFIX

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.config.settings import Settings

#: Seconds until everything that a deleted job has on the engine must be removed.
DELETE_TIMEOUT: Final = 60.0
#: What a node of :meth:`TrainerClient.get_runtime_packages` runs.
_PACKAGES_SCRIPT: Final = (
    "python -c \"import sys; print(f'Python: {sys.version}')\" && "
    "(pip list || echo 'pip not found') && (nvidia-smi || echo 'nvidia-smi not found')"
)

_log = logging.getLogger(__name__)


class TrainerClient:
    """Trains on the containers of this machine, with the calls of ``kubeflow.trainer.TrainerClient``.

    Args:
        backend_config: how containers are run; what it leaves open is taken from ``RECONCILER_*`` variables
            and ``reconciler.yaml``.
        specs: the folder of manifests; by default ``RECONCILER_SPECS``, else ``./specs``. Of a folder that
            nobody named, only jobs that clients have submitted are run without a daemon.
        namespace: of the jobs.

    Raises:
        InvalidRequest: the configuration is of another type.
        ConfigError: a variable or ``reconciler.yaml`` is wrong.
    """

    def __init__(
        self,
        backend_config: ContainerBackendConfig | None = None,
        *,
        specs: str | os.PathLike[str] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        config = backend_config if backend_config is not None else ContainerBackendConfig()
        self._settings, self._all_jobs = load_client_settings(config, specs)
        self._config = config
        self._namespace = namespace
        self._lock = threading.RLock()
        self._reader: SnapshotReader | None = None
        #: Whether a controller was ensured, or no engine answered; tried once by calls that only read.
        self._controller_ensured = False

    @property
    def settings(self) -> Settings:
        """The settings in force for a controller in this process."""
        return self._settings

    def close(self) -> None:
        """Stops the folder's controller in this process once submitted jobs have started; these go on."""
        close_controller(self._settings.instance)
        self._controller_ensured = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- runtimes

    def list_runtimes(self) -> list[Runtime]:
        """Returns the folder's runtimes, then those of the sources, then built-in ones."""
        return list(parse_runtimes(self._runtimes().values()))

    def get_runtime(self, name: str) -> Runtime:
        """Returns one runtime.

        Raises:
            ValueError: there is none of that name; the message lists the available ones.
        """
        return parse_runtime(self._runtime_document(name).raw)

    def get_runtime_packages(self, runtime: Runtime) -> None:
        """Prints Python's version, the packages and the GPUs that a node of the runtime has.

        Raises:
            ValueError: the runtime has a built-in trainer.
            RuntimeError: the job that lists them has failed.
        """
        if runtime.trainer.trainer_type is TrainerType.BUILTIN_TRAINER:
            raise InvalidRequest("Cannot get Runtime packages for BuiltinTrainer.")

        def set_trainer(job: dict[str, Any], _trainer: object, _backend: object) -> None:
            job.setdefault("spec", {})["trainer"] = {
                "command": ["bash", "-c", _PACKAGES_SCRIPT],
                "numNodes": 1,
            }

        name = self.train(runtime=runtime, options=[set_trainer])
        try:
            self.wait_for_job_status(name)
            print("".join(self.get_job_logs(name, step=f"{constants.NODE}-0")))  # noqa: T201  (upstream's)
        finally:
            self.delete_job(name)

    # -- jobs

    def train(
        self,
        runtime: str | Runtime | None = None,
        initializer: Initializer | None = None,
        trainer: Trainer | None = None,
        options: Sequence[Option] | None = None,
    ) -> str:
        """Writes a TrainJob, which the daemon or controller of the folder starts; returns its name.

        Args:
            runtime: to train with, by default ``torch-distributed``.
            initializer: dataset and model to fetch first.
            trainer: what to run; None: what the runtime runs.
            options: of :mod:`reconciler.client.options`.

        Raises:
            ValueError: the arguments do not make a job, or its name is in use; the message says why.
            RuntimeError: no container engine answers.
            StateError: the manifest cannot be written.
        """
        chosen = runtime if runtime is not None else constants.DEFAULT_TRAINING_RUNTIME
        if not isinstance(chosen, (str, Runtime)):
            raise InvalidRequest(f"runtime must be a runtime or the name of one, not {chosen!r}.")
        document = self._runtime_document(chosen.name if isinstance(chosen, Runtime) else chosen)
        submission = build_submission(
            runtime=chosen if isinstance(chosen, Runtime) else parse_runtime(document.raw),
            document=document,
            initializer=initializer,
            trainer=trainer,
            options=options,
            namespace=self._namespace,
            config=self._config,
        )
        name = submission.name
        key = job_key(self._namespace, name)
        with self._lock:
            if self._exists(key):
                raise NameInUse(name)
            file = self._free_file(name)
            text = render_checked(submission, file=str(file), runtimes=self._runtimes().values())
            controller = self._controller()
            if self._settings.grants is not None:
                add_grants(self._settings.grants, submission.documents)
            mode = 0o600 if submission.has_secrets else 0o644
            try:
                write_atomically(file, text.encode(), mode=mode, new=True)
            except StateError as error:
                if isinstance(error.__cause__, FileExistsError):  # by another process, a moment ago
                    raise NameInUse(name) from None
                raise
        controller.add_submitted(key, file)
        return name

    def list_jobs(self, runtime: str | Runtime | None = None) -> list[TrainJob]:
        """Returns all jobs of the folder, or those of one runtime."""
        wanted = runtime.name if isinstance(runtime, Runtime) else runtime
        snapshot = self._current_snapshot()
        runtimes = self._runtimes(snapshot)
        return [
            build_trainjob(job, runtimes)
            for job in snapshot.jobs
            if job.entry is not None
            and job.namespace == self._namespace
            and (wanted is None or requested_runtime(job) == wanted)
        ]

    def get_job(self, name: str) -> TrainJob:
        """Returns a job as it is now.

        Raises:
            ValueError: there is none (a RuntimeError at the same time).
        """
        return self._current_job(name)[1]

    def get_job_logs(
        self,
        name: str,
        step: str | None = None,
        follow: bool | None = False,
        *,
        node_index: int | None = None,
    ) -> Iterator[str]:
        """Yields the lines of a job's logs, each with its end.

        Args:
            name: of the job.
            step: ``node-1``, ``dataset-initializer``; by default all training nodes, each line with its rank
                before it where there are several.
            follow: go on until the job has ended, all ranks at once.
            node_index: the rank of one node.

        Raises:
            ValueError: there is no such job, or it has no such step.
        """
        if step is not None and node_index is not None:
            raise InvalidRequest("Give one of step and node_index.")
        selection = build_selection(step, node_index)
        job = self._job(name)
        check_selection(job, selection, self._settings.log_dir)
        if follow:
            self._try_controller()
            return follow_lines(lambda: self._job(name), selection, self._settings.log_dir)
        return read_lines(job, selection, self._settings.log_dir)

    def get_job_events(self, name: str) -> list[Event]:
        """Returns the events of a job, oldest first.

        Raises:
            ValueError: there is no such job.
        """
        return build_events(self._job(name))

    def wait_for_job_status(
        self,
        name: str,
        status: set[str] = {constants.TRAINJOB_COMPLETE},  # noqa: B006  (upstream's, and never changed)
        timeout: float = 600,
        polling_interval: float = 2,
        callbacks: list[Callback] | None = None,
    ) -> TrainJob:
        """Waits until a job has one of the statuses, and returns as soon as its sidecar shows it.

        Args:
            name: of the job.
            status: some of Created, Running, Complete and Failed.
            timeout: seconds to wait at most.
            polling_interval: seconds after which callbacks are called though nothing has changed.
            callbacks: called with the job at each change and each interval; None: on a terminal, a
                progress bar is shown (:class:`reconciler.client.ProgressBar`).

        Raises:
            ValueError: there is no such job, or the arguments contradict each other.
            RuntimeError: the job has failed; the message says which rank, how, and its last lines.
            TimeoutError: the time is over, or the job is Complete and that is not wanted.
        """
        check_arguments(status, timeout, polling_interval)
        self._job(name)
        if callbacks is None and sys.stderr.isatty():
            callbacks = [ProgressBar()]
        controller = self._controller()
        with self._watch(lambda path: path.endswith(SIDECAR_SUFFIX)) as watcher:
            controller.add_listener(watcher.wake)
            try:
                return wait_for_status(
                    lambda: self._current_job(name),
                    watcher,
                    wanted=set(status),
                    timeout=timeout,
                    polling_interval=polling_interval,
                    callbacks=callbacks or (),
                )
            finally:
                controller.remove_listener(watcher.wake)

    def delete_job(self, name: str) -> None:
        """Removes a job's manifest, containers and network; returns when they are gone.

        Raises:
            ValueError: there is no such job.
            TimeoutError: something still existed after a minute.
        """
        job = self._job(name)
        self._controller()
        with self._lock:
            remove_by_name(job, self._settings, lambda: remove_job(job), warn=_log.warning)
        deadline = time.monotonic() + DELETE_TIMEOUT
        with self._watch() as watcher:
            while self._exists(job.key):
                if time.monotonic() > deadline:
                    raise WaitTimeout(
                        f"{name} is not removed from the engine after {DELETE_TIMEOUT:g} s.",
                        remedy="Its manifest is gone; the daemon or controller of the folder goes on trying.",
                    )
                watcher.wait(0.1)

    # -- the controller

    def _controller(self) -> EmbeddedController:
        controller = ensure_controller(self._settings, all_jobs=self._all_jobs)
        self._controller_ensured = True
        return controller

    def _try_controller(self) -> None:
        """Starts a controller for unfinished jobs; reading goes on without an engine."""
        try:
            self._controller()
        except NoEngine as error:
            self._controller_ensured = True
            _log.warning("what is shown may be old: %s", error)

    # -- the folder

    def _current_snapshot(self) -> Snapshot:
        """The folder, with a controller for jobs that have not ended."""
        snapshot = self._snapshot()
        if not self._controller_ensured and any(job.phase not in ENDED_PHASES for job in snapshot.jobs):
            self._try_controller()
        return snapshot

    def _snapshot(self) -> Snapshot:
        with self._lock:
            self._settings.specs.mkdir(parents=True, exist_ok=True)
            if self._reader is None:
                self._reader = SnapshotReader(self._settings, self._load_source_runtimes())
            return self._reader.snapshot()

    def _watch(self, is_relevant: Callable[[str], bool] = lambda _: True) -> FolderWatcher:
        folders = [self._settings.specs, self._settings.status_dir or self._settings.specs]
        return FolderWatcher(folders, is_relevant=is_relevant)

    def _load_source_runtimes(self) -> Sequence[Document]:
        from reconciler.sources.runtimes.available_runtimes import load_available_runtimes  # noqa: PLC0415  (pydantic models)

        found = load_available_runtimes(self._settings.runtime_sources, clock=time.time)
        for fault in found.faults:
            level = logging.INFO if fault.file in DEFAULT_SOURCES else logging.WARNING
            _log.log(level, "runtime source %s: %s", fault.file, fault.message)
        return found.documents

    def _runtimes(self, snapshot: Snapshot | None = None) -> dict[str, Document]:
        return select_runtimes((snapshot or self._snapshot()).catalog, self._namespace)

    def _runtime_document(self, name: str) -> Document:
        runtimes = self._runtimes()
        if name not in runtimes:
            raise InvalidRequest(
                f"Runtime '{name}' not found{did_you_mean(name, runtimes)}.",
                remedy=f"Available runtimes: {', '.join(sorted(runtimes))}.",
            )
        return runtimes[name]

    def _job(self, name: str) -> Job:
        return self._find(self._snapshot(), name)

    def _find(self, snapshot: Snapshot, name: str) -> Job:
        try:
            job = snapshot.find(name, self._namespace)
        except JobNotFound as error:
            raise JobNotFound(f"No TrainJob with name {name}. {error}") from None
        if job.entry is None:
            raise JobNotFound(f"No TrainJob with name {name}: it is being deleted.")
        return job

    def _current_job(self, name: str) -> tuple[Job, TrainJob]:
        snapshot = self._current_snapshot()
        job = self._find(snapshot, name)
        return job, build_trainjob(job, self._runtimes(snapshot))

    def _exists(self, key: str) -> bool:
        return any(job.key == key for job in self._snapshot().jobs)

    def _free_file(self, name: str) -> Path:
        """``<name>.yaml``, or with a number where a file of that name exists."""
        file, number = self._settings.specs / f"{name}.yaml", 1
        while file.exists():
            file, number = self._settings.specs / f"{name}-{number}.yaml", number + 1
        return file
