"""Jobs at one moment: what the manifests ask for, and what the sidecars report; for commands and clients.

Either half may be missing: a manifest without a daemon has no status, and a sidecar may outlive its manifest
until the daemon has removed it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from reconciler.client.client_errors import JobNotFound
from reconciler.common.mappings import mapping_at
from reconciler.common.suggestions import did_you_mean
from reconciler.errors import NotAFolder, ReconcilerError, StateError
from reconciler.names import API_VERSION, DEFAULT_NAMESPACE, JOB_WORDS, job_key, short_key
from reconciler.state.phases import FINISHED_PHASES, TERMINATING, phase_of
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import ObjectStatus, SidecarReader, UnreadableSidecar, shows_guard

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.config.settings import Settings
    from reconciler.sources.folder.catalog import Catalog, JobEntry
    from reconciler.state.sidecar_reader import NodeStatus

NO_STATUS: Final = "No status yet: no daemon has seen it (reconciler run)."
#: A sidecar may go while the record stays (``git clean``); a daemon writes it again.
STATUS_LOST: Final = (
    "Its status file is gone, its record is not: a running daemon writes it again within --resync (30 s)."
)
MANIFEST_REMOVED: Final = "Its manifest was removed; a running daemon removes what it has on the engine."


@dataclass(frozen=True)
class Job:
    """One TrainJob.

    Attributes:
        entry: its manifest; None when only a sidecar is left.
        status: its sidecar; None when there is none yet.
        note: what is to be said of it besides, where a half is missing; "" for most.
        recorded_uid: by the daemon's record, where no sidecar has it: it is lost (``git clean``), or written
            anew by what knew only the job's name; "" otherwise.
        recorded_phase: likewise, where the sidecar is lost.
    """

    namespace: str
    name: str
    entry: JobEntry | None
    status: ObjectStatus | None
    note: str = ""
    recorded_uid: str = ""
    recorded_phase: str = ""

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return job_key(self.namespace, self.name)

    @property
    def short_name(self) -> str:
        """The name as users type it: with its namespace unless that is ``default``."""
        return short_key(self.key)

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """The document as its file has it now, else the last good one, else nothing."""
        if self.entry is None:
            return {}
        document = self.entry.candidate or self.entry.document
        return document.raw if document is not None else {}

    @property
    def uid(self) -> str:
        """The object's, as its sidecar has it; else as its record has it; "" without either."""
        uid = self.status.metadata.get("uid") if self.status is not None else None
        return uid if uid and isinstance(uid, str) else self.recorded_uid

    @property
    def spec(self) -> Mapping[str, Any]:
        """``spec`` of the manifest; empty when it is not a mapping."""
        return mapping_at(self.manifest, "spec")

    @property
    def reported(self) -> Mapping[str, Any]:
        """``status`` of the sidecar; empty without one."""
        return self.status.status if self.status is not None else {}

    @property
    def nodes(self) -> tuple[NodeStatus, ...]:
        """The nodes and the containers of other steps, as the sidecar lists them."""
        return self.status.nodes if self.status is not None else ()

    @property
    def file(self) -> str:
        """Path of the manifest."""
        return self.entry.file if self.entry is not None else ""

    @property
    def phase(self) -> str:
        """The sidecar's; without one, the daemon's record's; else Invalid or Pending by the manifest."""
        if self.status is not None and self.status.phase:
            return self.status.phase
        if self.recorded_phase:
            return self.recorded_phase
        return "Invalid" if self.entry is not None and self.entry.rejections else "Pending"

    @property
    def message(self) -> str:
        """The sidecar's message; without one, the manifest's first fault, or why there is no status.

        What the sidecar cannot know comes first: that the manifest has gone since.
        """
        if self.status is not None and self.status.phase:
            return self.note or self.status.message
        errors = self.entry.errors if self.entry is not None else ()
        return errors[0].message if errors else self.note or NO_STATUS

    @property
    def nodes_total(self) -> int | None:
        """Number of training nodes: as the sidecar lists them, else as the manifest asks; None: unknown."""
        if ranked := sum(n.rank is not None for n in self.nodes):
            return ranked
        wanted = mapping_at(self.spec, "trainer").get("numNodes")
        return wanted if isinstance(wanted, int) else None

    @property
    def nodes_ready(self) -> int:
        """Number of training nodes that run or have succeeded."""
        return sum(n.ready for n in self.nodes if n.rank is not None)

    @property
    def restarts(self) -> int:
        """Restarts of the whole job and of its containers, as far as the sidecar lists them."""
        if self.status is None:
            return 0
        own = self.status.status.get("restarts")
        gang = own if isinstance(own, int) else self.status.attempt
        return gang + sum(n.restarts for n in self.status.nodes)

    def as_object(self) -> dict[str, Any]:
        """Returns the Kubernetes object: the manifest with the metadata and the status of the sidecar."""
        status = {"phase": self.phase, **self.reported}
        if not self.reported and self.entry is not None and self.entry.errors:
            status["errors"] = [fault.as_dict() for fault in self.entry.errors]
        return {
            "apiVersion": self.manifest.get("apiVersion", API_VERSION),
            "kind": "TrainJob",
            "metadata": {
                **mapping_at(self.manifest, "metadata"),
                "name": self.name,
                "namespace": self.namespace,
                **(self.status.metadata if self.status is not None else {}),
            },
            "spec": dict(self.spec),
            "status": status,
        }


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The folder and its sidecars at one moment; jobs sorted by namespace and name."""

    catalog: Catalog
    jobs: tuple[Job, ...]
    problems: tuple[UnreadableSidecar, ...]

    def parse_name(self, text: str, namespace: str | None = None) -> tuple[str | None, str]:
        """Returns namespace (None: not said) and name of ``NAME``, ``NAMESPACE/NAME`` or ``job/NAME``."""
        head, slash, tail = text.rpartition("/")
        if slash and (head.lower() not in JOB_WORDS or any(j.namespace == head for j in self.jobs)):
            namespace = head
        return namespace, tail if slash else text

    def find(self, text: str, namespace: str | None = None) -> Job:
        """Returns the job that ``text`` names: ``NAME``, ``NAMESPACE/NAME``, ``job/NAME``.

        Without a namespace: the one in ``default``, else the only one of the name.

        Raises:
            JobNotFound: none, or several in other namespaces.
        """
        namespace, name = self.parse_name(text, namespace)
        found = [j for j in self.jobs if j.name == name and (namespace is None or j.namespace == namespace)]
        if len(found) > 1:
            found = [j for j in found if j.namespace == DEFAULT_NAMESPACE] or found
        if len(found) == 1:
            return found[0]
        if found:
            keys = ", ".join(j.key for j in found)
            raise JobNotFound(f"There are several jobs called {name}: {keys}.", remedy="Say which with -n.")
        where = f" in namespace {namespace}" if namespace else ""
        names = [j.short_name for j in self.jobs]
        remedy = f"There are: {', '.join(names)}." if names else "There is no job at all."
        raise JobNotFound(f"There is no job {name}{where}{did_you_mean(name, names)}.", remedy=remedy)


class SnapshotReader:
    """Reads folder and sidecars repeatedly; an unchanged file is not parsed again.

    Args:
        settings: say where both are.
        runtimes: used besides the folder's; None: those that need no request to a server.
    """

    def __init__(self, settings: Settings, runtimes: Sequence[Document] | None = None) -> None:
        from reconciler.sources.folder.folder_source import FolderSource  # noqa: PLC0415
        from reconciler.sources.runtimes.available_runtimes import load_available_runtimes  # noqa: PLC0415  (none of this for --help)

        self._specs = settings.specs
        self._git = settings.git
        if runtimes is None:
            runtimes = load_available_runtimes(
                settings.runtime_sources, clock=time.time, offline=True
            ).documents
        self._folder = FolderSource(
            settings.specs,
            fallback_runtimes=runtimes,
            sidecars=settings.status_dir,
            removed_by_name=self._requested_removals,
            is_guarded=lambda: shows_guard(sidecar_root(settings.specs, settings.status_dir)),
        )
        self._sidecars = SidecarReader(sidecar_root(settings.specs, settings.status_dir))
        self._settings = settings

    def snapshot(self) -> Snapshot:
        """Reads the folder and its sidecars as they are now.

        Raises:
            ReconcilerError: the folder does not exist, or cannot be read.
        """
        catalog = self._folder.scan(grace=False)
        if catalog.state == "missing" and self._git is not None:
            raise ReconcilerError(
                f"No revision of {self._git} is checked out yet.",
                remedy="A daemon does that: reconciler run; `reconciler get source` says how it goes.",
            )
        if catalog.state == "missing":
            going_on = ", ".join(self._recorded_keys())
            raise ReconcilerError(
                f"The folder of manifests {self._specs} is not there.",
                remedy="Name another with --specs, or make it."
                + (f" Jobs go on without it: {going_on}." if going_on else ""),
            )
        if catalog.state == "unreadable" and not self._specs.is_dir():
            raise NotAFolder(str(self._specs))
        if catalog.state == "unreadable":
            raise ReconcilerError(
                f"The folder of manifests {self._specs} cannot be read.",
                remedy="Give this user permission to read it.",
            )
        statuses = self._sidecars.read()
        sidecars = statuses.jobs()
        jobs = []
        for key in sorted({*catalog.jobs, *sidecars, *self._recorded_keys()}):
            namespace, _, name = key.partition("/")
            job = Job(namespace, name, catalog.jobs.get(key), sidecars.get(key))
            if not job.uid:
                job = self._recall(job)
            if job.entry is None:
                job = replace(job, note=self._note_without_manifest(job, catalog))
            jobs.append(job)
        return Snapshot(catalog=catalog, jobs=tuple(jobs), problems=statuses.problems)

    def _requested_removals(self) -> frozenset[str]:
        """Keys of the jobs that somebody has asked to remove; the daemon knows whether of this object."""
        from reconciler.state.requests.removal_requests import RemovalRequests  # noqa: PLC0415  (not for --help)

        return frozenset(request.key for request in RemovalRequests.of(self._settings).read())

    def _note_without_manifest(self, job: Job, catalog: Catalog) -> str:
        from reconciler.sources.folder.catalog import describe_guard  # noqa: PLC0415  (not for --help)

        told = job.status is not None
        if told and (job.phase in FINISHED_PHASES or job.phase == TERMINATING):
            return ""  # the sidecar says how it ended; where that has gone with the manifest, say why
        if job.key in catalog.removed_by_name or self._settings.allow_empty:
            return MANIFEST_REMOVED
        ended = job.phase in FINISHED_PHASES
        guard = describe_guard(catalog.state, self._specs, job.short_name, ended=ended)
        # A daemon that saw the manifests go knows more than the folder as it is now.
        known = job.status is not None and job.status.condition("ManifestMissing")
        return guard or ("" if known else MANIFEST_REMOVED)

    def _recorded_keys(self) -> list[str]:
        """Keys of the jobs that a daemon has worked on; also without manifest and status they may run."""
        from reconciler.state.record_store import RecordStore  # noqa: PLC0415  (imports pydantic)

        try:
            return list(RecordStore.of(self._settings).keys())
        except OSError:
            return []  # another user's daemon

    def _recall(self, job: Job) -> Job:
        """Returns a job whose status is lost or has no uid with what its record has; as it is without."""
        from reconciler.state.record_store import RecordStore  # noqa: PLC0415  (imports pydantic)

        try:
            record = RecordStore.of(self._settings).load(job.key)
        except StateError:
            return job  # another user's daemon
        if record is None:
            return job
        if job.status is not None:
            return replace(job, recorded_uid=record.uid)
        phase = phase_of(record)
        return replace(job, recorded_uid=record.uid, recorded_phase=phase, note=STATUS_LOST if phase else "")
