"""From a manifest to a record: first sight, updates, reruns, the runtime's snapshot. Pure.

Upstream's rules for updates (``spec`` is immutable but for ``suspend``, and ``runtimePatches`` while the job
is suspended) decide what reaches the record; the record, not the manifest, is what gets planned. That is how
a running job survives its manifest being broken, its runtime edited or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.controller.statemachine.restart_policy import is_held_back
from reconciler.names import ANNOTATION_UPDATE_POLICY, API_VERSION, PREFIX
from reconciler.state.record import Record

if TYPE_CHECKING:
    from reconciler.api.faults import Fault

ANNOTATION_RERUN = PREFIX + "rerun"
_NOT_REJECTED: Final = {"rejected": "", "rejected_path": "", "rejected_at": 0.0}
Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The manifest's side of one job.

    Attributes:
        job: the TrainJob's document, valid; the last good one where its file is not.
        runtime: the document of the runtime it refers to, if there is one.
        file: absolute path of the manifest.
        update_policy: of the daemon, ``Refuse`` or ``Recreate``.
        policy: digest of the one in force, which judges anew what another has refused; "" unknown.
    """

    namespace: str
    name: str
    job: Raw
    runtime: Raw | None
    file: str
    update_policy: str = "Refuse"
    policy: str = ""


def first_sight(wanted: Wanted, *, uid: str, now: float) -> Record:
    """The record of a job that was never seen before."""
    job = wanted.job
    record = Record(
        namespace=wanted.namespace,
        name=wanted.name,
        uid=uid,
        created_at=now,
        clock_from=now,
        job=_plain(job),
        seen_spec=_spec(job),
        file=wanted.file,
        rerun=_annotation(job, ANNOTATION_RERUN),
    )
    return record.with_event("Created", "TrainJob accepted", now=now)


def update(record: Record, wanted: Wanted, *, uid: str, now: float) -> Record:
    """Take over what changed in the manifest, as far as upstream lets it change.

    Args:
        record: of the job.
        wanted: its manifest now.
        uid: for the job's next life, should this be one (rerun, ``Recreate``).
        now: seconds since the epoch.
    """
    job = wanted.job
    if record.file != wanted.file:
        record = record.model_copy(update={"file": wanted.file})
    if not record.job:
        record = _taken_up(record, job)
    if _spec(job) != record.seen_spec:
        record = record.model_copy(update={"seen_spec": _spec(job), "generation": record.generation + 1})
    token = _annotation(job, ANNOTATION_RERUN)
    if token and token != record.rerun:
        return _reborn(record, wanted, uid=uid, now=now, why="rerun was asked for")
    if is_held_back(record) and (why := _amended(record, wanted)):
        return _reborn(record, wanted, uid=uid, now=now, why=why)
    refusal = _refused(record, job)
    if not refusal:
        accepted = record.model_copy(update={"observed_generation": record.generation, **_NOT_REJECTED})
        return accepted.model_copy(update={"job": _plain(job)}) if _plain(job) != record.job else accepted
    policy = _annotation(job, ANNOTATION_UPDATE_POLICY) or wanted.update_policy
    if policy == "Recreate":
        return _reborn(record, wanted, uid=uid, now=now, why="its manifest changed")
    return _refuse(record, job, refusal, now=now)


def _taken_up(record: Record, job: Raw) -> Record:
    """A record recovered from the sidecar: the manifest as it is counts as accepted, its rerun as honoured.

    Else a finished job would run again for no other reason than that its record was lost.
    """
    return record.model_copy(
        update={
            "job": _plain(job),
            "seen_spec": _spec(job),
            "rerun": _annotation(job, ANNOTATION_RERUN),
        }
    )


def _amended(record: Record, wanted: Wanted) -> str:
    """Why a job that the policy has refused, and that never ran, is judged anew; "" when it is not."""
    if _spec(wanted.job) != _spec(record.job):
        return "its manifest changed after the policy had refused it"
    if wanted.runtime is not None and record.runtime and _plain(wanted.runtime) != record.runtime:
        return "its runtime changed after the policy had refused it"
    if wanted.policy and record.refused_under and wanted.policy != record.refused_under:
        return "the policy that had refused it changed"
    return ""


def snapshot(record: Record, runtime: Raw) -> Record:
    """Keep the runtime as it is now, for the rest of the job's life (kubeflow/sdk#797)."""
    return record.model_copy(update={"runtime": _plain(runtime), "observed_generation": record.generation})


def _refused(record: Record, job: Raw) -> list[Fault]:
    """Why the manifest as it is now may not replace the accepted one; empty when it may."""
    if _spec(job) == record.job.get("spec"):
        return []
    from reconciler.api import Document, TrainJob, check_update  # noqa: PLC0415  (slow to import)

    new = Document(
        kind="TrainJob",
        api_version=API_VERSION,
        namespace=record.namespace,
        name=record.name,
        file=record.file,
        line=0,
        raw=job,
        model=TrainJob.model_validate(job),
    )
    old = TrainJob.model_validate(record.job)
    return check_update(old, new, suspended=record.suspended or _suspends(record.job))


def _suspends(job: dict[str, Any]) -> bool:
    return bool((job.get("spec") or {}).get("suspend"))


def _refuse(record: Record, job: Raw, refusal: list[Fault], *, now: float) -> Record:
    """Keep the running job as it is; ``suspend`` still takes effect (it is mutable on its own)."""
    spec = {**record.job.get("spec", {})}
    suspend = (job.get("spec") or {}).get("suspend")
    if suspend is None:
        spec.pop("suspend", None)
    else:
        spec["suspend"] = suspend
    kept = {**record.job, "spec": spec, "metadata": job.get("metadata", {})}
    record = record.model_copy(update={"job": kept, "observed_generation": record.generation})
    why = "; ".join(f"{fault.path}: {fault.message}" for fault in refusal)
    message = (
        f"The change was refused, the job goes on as it was: {why}. "
        f"To run the changed manifest, use `reconciler rerun {record.name}`, give it another name, or set "
        f"the annotation {ANNOTATION_UPDATE_POLICY}: Recreate."
    )
    if record.rejected == message:
        return record
    since = record.rejected_at if record.rejected else now
    told = {"rejected": message, "rejected_path": refusal[0].path, "rejected_at": since}
    record = record.model_copy(update=told)
    return record.with_event("UpdateRefused", message, now=now, kind="Warning")


def _reborn(record: Record, wanted: Wanted, *, uid: str, now: float, why: str) -> Record:
    """The same name, a new life: uid and counters anew, the generation and the events go on."""
    fresh = first_sight(wanted, uid=uid, now=now)
    fresh = fresh.model_copy(
        update={
            "generation": record.generation,
            "events": record.events,
            "attempt": record.attempt + 1,
            "rerun": _annotation(wanted.job, ANNOTATION_RERUN),
            "network_id": record.network_id,
            "subnet": record.subnet,
            "gateway": record.gateway,
            "port": record.port,
        }
    )
    return fresh.with_event("Recreated", f"The job starts afresh: {why}.", now=now)


def _plain(document: Raw) -> dict[str, Any]:
    return dict(document)


def _spec(document: Raw) -> dict[str, Any]:
    return dict(document.get("spec") or {})


def _annotation(document: Raw, name: str) -> str:
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    value = annotations.get(name, "")
    return value if isinstance(value, str) else ""
