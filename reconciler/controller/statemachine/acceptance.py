"""Accepts manifests into records: new jobs, updates, reruns; pins the runtime's revision. Pure.

Upstream's rules for updates (``spec`` is immutable but for ``suspend``, and ``runtimePatches`` while the job
is suspended) decide what reaches the record; the record, not the manifest, is what gets planned. That is how
a running job survives its manifest being broken, its runtime edited or deleted.

Until something of a job has started there is nothing to protect: an edit of its file, or of its runtime's, is
then taken as the object made anew. (That is a rule for files, whose author corrects a typo in place; a write
through a Kubernetes API follows upstream.)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.api.faults import RUNTIME_NOT_FOUND, Fault
from reconciler.controller.statemachine.attempts import record_problem
from reconciler.controller.statemachine.failures.failure_policy import is_refused_before_start
from reconciler.names import ANNOTATION_RERUN, ANNOTATION_UPDATE_POLICY
from reconciler.state.record import Record

_NOT_REJECTED: Final = {"rejected": "", "rejected_path": "", "rejected_at": 0.0}


@dataclass(frozen=True, kw_only=True)
class DesiredJob:
    """The manifest's side of one job.

    Attributes:
        job: the TrainJob's document, valid; the last good one where its file is not.
        runtime: the document of the runtime it refers to, if there is one.
        file: absolute path of the manifest.
        update_policy: of the daemon, ``Refuse`` or ``Recreate``.
        policy_digest: of the policy in force: a job that another one refused is checked again; "" unknown.
    """

    namespace: str
    name: str
    job: Mapping[str, Any]
    runtime: Mapping[str, Any] | None
    file: str
    update_policy: str = "Refuse"
    policy_digest: str = ""


def accept_manifest(
    record: Record | None,
    desired: DesiredJob,
    *,
    uid: str,
    now: float,
    has_started: Callable[[], bool] = lambda: False,
) -> Record:
    """Returns the record of a job by its manifest: a new one, or what upstream lets the manifest change.

    Args:
        record: of the job; None for a job that was never seen before.
        desired: its manifest now.
        uid: for a new job, or for the recreated one (rerun, ``Recreate``).
        now: seconds since the epoch.
        has_started: whether the engine has a container of the job that has started and is not in the record
            yet; asked only where it matters.
    """
    if record is None:
        return _new_record(desired, uid=uid, now=now)
    job = desired.job
    if record.file != desired.file:
        record = record.replace(file=desired.file)
    if not record.job:
        record = _accept_recovered(record, job)
    if _spec(job) != record.seen_spec:
        record = record.replace(seen_spec=_spec(job), generation=record.generation + 1)
    token = _annotation(job, ANNOTATION_RERUN)
    if token and token != record.rerun:
        return _recreate(record, desired, uid=uid, now=now, why="rerun was asked for")
    faults = _update_faults(record, job)
    if record.unstarted and (edited := _edited(record, desired, faults)) and not has_started():
        return _make_anew(record, desired, uid=uid, now=now, edited=edited)
    if record.unstarted and desired.runtime is not None:
        record = record.replace(seen_runtime=_digest(desired.runtime))
    if is_refused_before_start(record) and (why := _change_after_refusal(record, desired)):
        return _recreate(record, desired, uid=uid, now=now, why=why)
    if not faults:
        record = record.replace(observed_generation=record.generation, **_NOT_REJECTED)
        return record.replace(job=dict(job)) if job != record.job else record
    if (_annotation(job, ANNOTATION_UPDATE_POLICY) or desired.update_policy) == "Recreate":
        return _recreate(record, desired, uid=uid, now=now, why="its manifest changed")
    return _reject_update(record, job, faults, now=now)


def pin_runtime(record: Record, desired: DesiredJob, faults: Sequence[Fault], *, now: float) -> Record:
    """Keeps the runtime as it is now for the rest of the job's life (kubeflow/sdk#797), or why there is none.

    By the manifest's faults a runtime that exists and is wrong is told from one that is not there.
    """
    if record.runtime:
        return record
    if desired.runtime is not None:
        runtime = dict(desired.runtime)
        return record.replace(runtime=runtime, observed_generation=record.generation, problem=None)
    ref = desired.job.get("spec", {}).get("runtimeRef", {})
    kind, name = ref.get("kind", "ClusterTrainingRuntime"), ref.get("name", "")
    message = (
        f"spec.runtimeRef: the {kind} {name!r} is not there; it must be created before the job. "
        "Add it to the folder, and the job starts by itself."
    )
    for fault in faults:
        if fault.reason == RUNTIME_NOT_FOUND and fault.path == "spec.runtimeRef":
            # The runtime exists, and is wrong.
            message = f"spec.runtimeRef: {fault.message}. The job starts by itself then."
    return record_problem(record, "RuntimeNotFound", message, now=now)


def _new_record(desired: DesiredJob, *, uid: str, now: float) -> Record:
    record = Record(
        namespace=desired.namespace,
        name=desired.name,
        uid=uid,
        created_at=now,
        clock_from=now,
        job=dict(desired.job),
        seen_spec=_spec(desired.job),
        file=desired.file,
        rerun=_annotation(desired.job, ANNOTATION_RERUN),
        unseen=True,
        seen_runtime=_digest(desired.runtime) if desired.runtime is not None else "",
        unstarted=True,
    )
    return record.with_event("Created", "TrainJob accepted", now=now)


def _accept_recovered(record: Record, job: Mapping[str, Any]) -> Record:
    """Takes the manifest of a record recovered from the sidecar as accepted, its rerun as honoured.

    Else a finished job would run again for no other reason than that its record was lost.
    """
    rerun = _annotation(job, ANNOTATION_RERUN)
    return record.replace(job=dict(job), seen_spec=_spec(job), rerun=rerun)


def _recreate(record: Record, desired: DesiredJob, *, uid: str, now: float, why: str) -> Record:
    """Creates the record again under the same name: new uid and counters; generation and events continue."""
    new = _new_record(desired, uid=uid, now=now).replace(
        generation=record.generation,
        events=record.events,
        attempt=record.attempt + 1,
        network_id=record.network_id,
        subnet=record.subnet,
        gateway=record.gateway,
        port=record.port,
        unseen=False,
        earlier_ids=record.container_ids,
        strays=record.strays,
    )
    return new.with_event("Recreated", f"The job starts afresh: {why}.", now=now)


def _make_anew(record: Record, desired: DesiredJob, *, uid: str, now: float, edited: str) -> Record:
    """Returns the record of a job of which nothing has started, as if it had been written like this at first.

    It has another uid and generation 1. Its attempt is a new one only where an engine has refused to start
    one before: then there may be a log of that number. Jobs keep their places in the queue when the runtime
    that they share is edited.
    """
    new = _recreate(record, desired, uid=uid, now=now, why=f"its {edited} changed before anything of it ran")
    return new.replace(
        generation=1,
        attempt=new.attempt if record.containers else record.attempt,
        created_at=record.created_at if edited == "runtime" else now,
    )


def _edited(record: Record, desired: DesiredJob, faults: Sequence[Fault]) -> str:
    """Returns what was edited since the last pass that only a new object can have; "" for nothing.

    A suspended job keeps the runtime that it was made with, as upstream.
    """
    if faults:
        return "manifest"
    seen, suspended = record.seen_runtime, record.suspended or bool(_spec(record.job).get("suspend"))
    if desired.runtime is None or not seen or suspended:
        return ""
    return "" if _digest(desired.runtime) == seen else "runtime"


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _change_after_refusal(record: Record, desired: DesiredJob) -> str:
    """Returns why a job that the policy refused before its start is checked again; "" if it is not."""
    if _spec(desired.job) != _spec(record.job):
        return "its manifest changed after the policy had refused it"
    if desired.runtime is not None and record.runtime and dict(desired.runtime) != record.runtime:
        return "its runtime changed after the policy had refused it"
    if desired.policy_digest and record.refused_under and desired.policy_digest != record.refused_under:
        return "the policy that had refused it changed"
    return ""


def _update_faults(record: Record, job: Mapping[str, Any]) -> list[Fault]:
    """Returns why the manifest as it is now may not replace the accepted one; empty when it may."""
    if _spec(job) == record.job.get("spec"):
        return []
    from reconciler.api import Document, TrainJob, check_update  # noqa: PLC0415  (slow to import)

    new = Document(
        kind="TrainJob",
        namespace=record.namespace,
        name=record.name,
        file=record.file,
        line=0,
        raw=job,
        model=TrainJob.model_validate(job),
    )
    old = TrainJob.model_validate(record.job)
    return check_update(old, new, suspended=record.suspended or bool(_spec(record.job).get("suspend")))


def _reject_update(record: Record, job: Mapping[str, Any], faults: list[Fault], *, now: float) -> Record:
    """Keeps the running job as it is; ``suspend`` still takes effect (it is mutable on its own)."""
    spec = {**record.job.get("spec", {})}
    suspend = _spec(job).get("suspend")
    if suspend is None:
        spec.pop("suspend", None)
    else:
        spec["suspend"] = suspend
    kept = {**record.job, "spec": spec, "metadata": job.get("metadata", {})}
    record = record.replace(job=kept, observed_generation=record.generation)
    why = "; ".join(f"{fault.path}: {fault.message}" for fault in faults)
    message = (
        f"The change was refused, the job goes on as it was: {why}. "
        f"To run the changed manifest, use `reconciler rerun {record.name}`, give it another name, or set "
        f"the annotation {ANNOTATION_UPDATE_POLICY}: Recreate."
    )
    if record.rejected == message:
        return record
    rejected_at = record.rejected_at if record.rejected else now
    record = record.replace(rejected=message, rejected_path=faults[0].path, rejected_at=rejected_at)
    return record.with_event("UpdateRefused", message, now=now, kind="Warning")


def _spec(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(document.get("spec") or {})


def _annotation(document: Mapping[str, Any], name: str) -> str:
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    value = annotations.get(name, "")
    return value if isinstance(value, str) else ""
