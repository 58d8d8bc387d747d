"""``TrainerClient``: training from Python, by manifests in a folder and whoever runs them.

The client and what runs the jobs meet in files only: the client writes manifests and reads status sidecars
and logs. A daemon on the folder (``reconciler run``) does the work; without one a controller inside this
process does, until the process ends (:mod:`reconciler.client.embedded.embedded_controller`).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from reconciler.client.backends.container.types import DEFAULT_SOURCES, ContainerBackendConfig
from reconciler.client.client_errors import InvalidRequest, JobNotThere, NoEngine, WaitedTooLong, name_taken
from reconciler.client.constants import constants
from reconciler.client.embedded.client_settings import settings_of
from reconciler.client.embedded.embedded_controller import (
    EmbeddedController,
    close_controller,
    ensure_controller,
)
from reconciler.client.embedded.host_path_grants import grant
from reconciler.client.jobs.folder_changes import Changes
from reconciler.client.jobs.job_snapshots import Job, JobNotFound, Reader, Snapshot
from reconciler.client.jobs.log_lines import choice_of, lines_following, lines_now, require_known
from reconciler.client.jobs.progress_display import ProgressBar
from reconciler.client.jobs.trainjob_objects import events_from, job_from, runtime_name
from reconciler.client.jobs.waiting import Callback, check_arguments, wait_for
from reconciler.client.manifests.initializer_manifests import Images
from reconciler.client.manifests.manifest_removal import remove_job
from reconciler.client.manifests.submission import Option, Trainer, checked_text, compose
from reconciler.client.runtime_objects import listed, runtime_documents, runtime_from
from reconciler.client.types.types import Event, Initializer, Runtime, TrainerType, TrainJob
from reconciler.config.options import did_you_mean
from reconciler.errors import StateError
from reconciler.names import DEFAULT_NAMESPACE, job_key
from reconciler.state.atomic_files import write_atomically
from reconciler.state.sidecar_reader import ENDED, SUFFIX

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.config.settings import Settings

#: Seconds until what a deleted job has on the engine must be gone.
REMOVAL: Final = 60.0
_PACKAGES: Final = (
    "python -c \"import sys; print(f'Python: {sys.version}')\" && "
    "(pip list || echo 'pip not found') && (nvidia-smi || echo 'nvidia-smi not found')"
)

_log = logging.getLogger(__name__)


class TrainerClient:
    """Trains on the containers of this machine, with the calls of ``kubeflow.trainer.TrainerClient``.

    Args:
        backend_config: how containers are run; what it does not say is taken from ``RECONCILER_*`` variables
            and ``reconciler.yaml``.
        specs: the folder of manifests; by default ``RECONCILER_SPECS``, else ``./specs``. Of a folder that
            nobody named, only jobs that clients have submitted are run without a daemon.
        namespace: of the jobs.

    Raises:
        InvalidRequest: the configuration is none.
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
        self._settings, self._everything = settings_of(config, specs)
        self._config = config
        self._namespace = namespace
        self._lock = threading.RLock()
        self._reader: Reader | None = None
        self._looked_after = False

    @property
    def settings(self) -> Settings:
        """What is in force for a controller in this process."""
        return self._settings

    def close(self) -> None:
        """End this process's controller of the folder, once submitted jobs have come up; they go on."""
        close_controller(self._settings.instance)
        self._looked_after = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- runtimes

    def list_runtimes(self) -> list[Runtime]:
        """The runtimes there are: the folder's, then those of the sources, then built-in ones."""
        return list(listed(self._runtimes().values()))

    def get_runtime(self, name: str) -> Runtime:
        """One runtime.

        Raises:
            ValueError: there is none of that name; the message says which there are.
        """
        return runtime_from(self._runtime_document(name).raw)

    def get_runtime_packages(self, runtime: Runtime) -> None:
        """Print Python's version, the packages and the GPUs that a node of the runtime has.

        Raises:
            ValueError: the runtime has a built-in trainer.
            RuntimeError: the job that asks has failed.
        """
        if runtime.trainer.trainer_type is TrainerType.BUILTIN_TRAINER:
            raise InvalidRequest("Cannot get Runtime packages for BuiltinTrainer.")

        def ask(job: dict[str, Any], _trainer: object, _backend: object) -> None:
            job.setdefault("spec", {})["trainer"] = {
                "command": ["bash", "-c", _PACKAGES],
                "numNodes": 1,
            }

        name = self.train(runtime=runtime, options=[ask])
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
        """Write a TrainJob, which whoever runs the folder starts; returns its name.

        Args:
            runtime: to train with, by default ``torch-distributed``.
            initializer: dataset and model to fetch before.
            trainer: what to run; None: what the runtime runs.
            options: of :mod:`reconciler.client.options`.

        Raises:
            ValueError: the arguments make no job, or there is a job of that name; the message says why.
            RuntimeError: no container engine answers.
            StateError: the manifest cannot be written.
        """
        chosen = runtime if runtime is not None else constants.DEFAULT_TRAINING_RUNTIME
        if not isinstance(chosen, (str, Runtime)):
            raise InvalidRequest(f"runtime must be a runtime or the name of one, not {chosen!r}.")
        document = self._runtime_document(chosen.name if isinstance(chosen, Runtime) else chosen)
        submission = compose(
            runtime=chosen if isinstance(chosen, Runtime) else runtime_from(document.raw),
            document=document,
            initializer=initializer,
            trainer=trainer,
            options=options,
            namespace=self._namespace,
            images=Images(
                dataset=self._config.dataset_initializer_image,
                model=self._config.model_initializer_image,
                timeout=self._config.initializer_timeout,
            ),
        )
        name = submission.name
        with self._lock:
            there = {job.key for job in self._snapshot().jobs}
            if job_key(self._namespace, name) in there:
                raise name_taken(name)
            file = self._free_file(name)
            text = checked_text(submission, file=str(file), runtimes=self._runtimes().values())
            controller = self._controller()
            if self._settings.grants is not None:
                grant(self._settings.grants, submission.documents)
            try:
                write_atomically(file, text.encode(), mode=0o600 if submission.secret else 0o644, new=True)
            except StateError as error:
                if isinstance(error.__cause__, FileExistsError):  # by another process, a moment ago
                    raise name_taken(name) from None
                raise
        controller.submitted(job_key(self._namespace, name), file)
        return name

    def list_jobs(self, runtime: str | Runtime | None = None) -> list[TrainJob]:
        """All jobs of the folder, or those of one runtime."""
        wanted = runtime.name if isinstance(runtime, Runtime) else runtime
        snapshot = self._looked_after_snapshot()
        runtimes = self._runtimes(snapshot)
        return [
            job_from(job, runtimes)
            for job in snapshot.jobs
            if job.entry is not None
            and job.namespace == self._namespace
            and (wanted is None or runtime_name(job) == wanted)
        ]

    def get_job(self, name: str) -> TrainJob:
        """One job as it is now.

        Raises:
            ValueError: there is none (a RuntimeError at the same time).
        """
        return self._seen(name)[1]

    def get_job_logs(
        self,
        name: str,
        step: str | None = None,
        follow: bool | None = False,
        *,
        node_index: int | None = None,
    ) -> Iterator[str]:
        """Lines of a job's logs, each with its end.

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
        choice = choice_of(step, node_index)
        job = self._job(name)
        require_known(job, choice, self._settings.log_dir)
        if follow:
            self._look_after()
            return lines_following(lambda: self._job(name), choice, self._settings.log_dir)
        return lines_now(job, choice, self._settings.log_dir)

    def get_job_events(self, name: str) -> list[Event]:
        """What has happened to a job, oldest first.

        Raises:
            ValueError: there is no such job.
        """
        return events_from(self._job(name))

    def wait_for_job_status(
        self,
        name: str,
        status: set[str] = {constants.TRAINJOB_COMPLETE},  # noqa: B006  (upstream's, and never changed)
        timeout: float = 600,
        polling_interval: float = 2,
        callbacks: list[Callback] | None = None,
    ) -> TrainJob:
        """Wait until a job has one of the statuses; returns as soon as its status says so.

        Args:
            name: of the job.
            status: some of Created, Running, Complete and Failed.
            timeout: seconds to wait at most.
            polling_interval: seconds after which callbacks are called though nothing has changed.
            callbacks: called with the job at each change and each interval; None: on a terminal, a
                progress bar is shown (:class:`reconciler.client.ProgressBar`).

        Raises:
            ValueError: there is no such job, or the arguments make no sense.
            RuntimeError: the job has failed; the message says which rank, how, and its last lines.
            TimeoutError: the time is over.
        """
        check_arguments(status, timeout, polling_interval)
        self._job(name)
        if callbacks is None and sys.stderr.isatty():
            callbacks = [ProgressBar()]
        controller = self._controller()
        folders = [self._settings.specs, self._settings.status_dir or self._settings.specs]
        with Changes(folders, matters=lambda path: path.endswith(SUFFIX)) as changes:
            controller.add_bell(changes.ring)
            try:
                return wait_for(
                    lambda: self._seen(name),
                    changes,
                    wanted=set(status),
                    timeout=timeout,
                    polling_interval=polling_interval,
                    callbacks=callbacks or (),
                )
            finally:
                controller.remove_bell(changes.ring)

    def delete_job(self, name: str) -> None:
        """Remove a job: its manifest, its containers, its network; returns when they are gone.

        Raises:
            ValueError: there is no such job.
            TimeoutError: something was still there after a minute.
        """
        job = self._job(name)
        self._controller()
        with self._lock:
            remove_job(job)
        folders = [self._settings.specs, self._settings.status_dir or self._settings.specs]
        deadline = time.monotonic() + REMOVAL
        with Changes(folders) as changes:
            while self._is_known(job):
                if time.monotonic() > deadline:
                    raise WaitedTooLong(
                        f"{name} is not removed from the engine after {REMOVAL:g} s.",
                        remedy="Its manifest is gone; whoever runs the folder goes on trying.",
                    )
                changes.wait(0.1)

    # -- what is behind it

    def _controller(self) -> EmbeddedController:
        controller = ensure_controller(self._settings, everything=self._everything)
        self._looked_after = True
        return controller

    def _look_after(self) -> None:
        """Have somebody run what is not finished; reading goes on without an engine."""
        try:
            self._controller()
        except NoEngine as error:
            self._looked_after = True
            _log.warning("what is shown may be old: %s", error)

    def _looked_after_snapshot(self) -> Snapshot:
        snapshot = self._snapshot()
        if not self._looked_after and any(job.phase not in ENDED for job in snapshot.jobs):
            self._look_after()
        return snapshot

    def _snapshot(self) -> Snapshot:
        with self._lock:
            self._settings.specs.mkdir(parents=True, exist_ok=True)
            if self._reader is None:
                self._reader = Reader(self._settings, self._further())
            return self._reader.snapshot()

    def _further(self) -> Sequence[Document]:
        from reconciler.sources.runtimes.available_runtimes import available_runtimes  # noqa: PLC0415  (pydantic models)

        found = available_runtimes(self._settings.runtime_sources, clock=time.time)
        for fault in found.faults:
            level = logging.INFO if fault.file in DEFAULT_SOURCES else logging.WARNING
            _log.log(level, "runtime source %s: %s", fault.file, fault.message)
        return found.documents

    def _runtimes(self, snapshot: Snapshot | None = None) -> dict[str, Document]:
        catalog = (snapshot or self._snapshot()).catalog
        return runtime_documents(catalog, catalog.builtin.values(), self._namespace)

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
            raise JobNotThere(f"No TrainJob with name {name}. {error}") from None
        if job.entry is None:
            raise JobNotThere(f"No TrainJob with name {name}: it is being deleted.")
        return job

    def _seen(self, name: str) -> tuple[Job, TrainJob]:
        snapshot = self._looked_after_snapshot()
        job = self._find(snapshot, name)
        return job, job_from(job, self._runtimes(snapshot))

    def _is_known(self, job: Job) -> bool:
        return any(each.key == job.key for each in self._snapshot().jobs)

    def _free_file(self, name: str) -> Path:
        """``<name>.yaml``, or with a number where somebody has a file of that name."""
        file, number = self._settings.specs / f"{name}.yaml", 1
        while file.exists():
            file, number = self._settings.specs / f"{name}-{number}.yaml", number + 1
        return file
