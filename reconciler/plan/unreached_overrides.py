"""Overrides of a job that reach nothing: each gives a warning, none is dropped silently. Pure.

Upstream's admission accepts them, so they are no errors here; the job then does something else than its
author asked for, which nobody notices in its status.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from reconciler import names
from reconciler.api.step_names import DATASET_INITIALIZER, LAUNCHER, MODEL_INITIALIZER, NODE, TRAINER
from reconciler.plan.draft import JobDraft

_CONTAINER_FIELDS: Final = ("image", "command", "args", "env", "resourcesPerNode")
#: Frameworks that start several processes on a node.
_WITH_PROCESSES: Final = frozenset({"torch", "torchtune", "mpi", "flux"})
_SECTIONS: Final = {"dataset": DATASET_INITIALIZER, "model": MODEL_INITIALIZER}
_LABEL_REMEDY: Final = f"label its replicated job {names.LABEL_ANCESTOR}: {TRAINER}"
#: Annotations of this project that a job may have -> the values that they may have; empty: any.
_ANNOTATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    names.ANNOTATION_RESTART_SCOPE: ("container", "gang"),
    names.ANNOTATION_UPDATE_POLICY: ("Refuse", "Recreate"),
    names.ANNOTATION_STALL_TIMEOUT: (),
    names.ANNOTATION_PRIORITY: (),
    names.ANNOTATION_SUBMITTED_BY: (),
    names.ANNOTATION_RERUN: (),
    names.ANNOTATION_RUNTIME: (),
}


def describe_inferred_trainer(step: str, *, runtime: str) -> str:
    """Returns the sentence about a runtime that labels no step as the trainer."""
    return (
        f"no replicated job of the runtime {runtime!r} is labelled as the trainer, so {step!r} is taken for "
        f"it here; a cluster would ignore spec.trainer and mlPolicy: {_LABEL_REMEDY}"
    )


def find_unreached(draft: JobDraft, manifest: Mapping[str, Any], framework: str) -> list[tuple[str, str]]:
    """Returns path and message of every override of the job, and of its runtime's policy, without effect.

    Args:
        draft: with the framework's plugin applied.
        manifest: of the job; of the draft's own sections the plugin may have changed some.
        framework: its name.
    """
    spec = manifest["spec"]
    return [
        *_find_in_trainer(draft, spec.get("trainer") or {}),
        *_find_in_counts(draft, spec.get("trainer") or {}, framework),
        *_find_in_initializers(draft, spec.get("initializer") or {}),
    ]


def _find_in_trainer(draft: JobDraft, trainer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the fields of ``spec.trainer`` for a container that there is not, or that are empty."""
    reached = any(step.role == TRAINER and step.container(NODE) is not None for step in draft.steps)
    for field in _CONTAINER_FIELDS:
        if field not in trainer:
            continue
        if not trainer[field]:
            if field in ("image", "command", "args"):
                yield f"spec.trainer.{field}", "is empty and changes nothing: the runtime's own is used"
        elif not reached:
            yield (
                f"spec.trainer.{field}",
                (
                    f"has no effect: the runtime {draft.runtime!r} has no container {NODE!r} in a step that "
                    f"trains; name the container so, and {_LABEL_REMEDY}"
                ),
            )


def _find_in_counts(draft: JobDraft, trainer: Mapping[str, Any], framework: str) -> Iterator[tuple[str, str]]:
    """Yields numbers of nodes and processes that nothing reads."""
    counted = draft.ranked_step is not None
    if framework == "mpi":
        counted = draft.step(NODE) is not None
    asked = "spec.trainer.numNodes" if trainer.get("numNodes") is not None else ""
    if not asked and int(draft.ml_policy.get("numNodes") or 1) > 1:
        asked = "spec.mlPolicy.numNodes"
    # One node is what there is without a step that counts.
    if asked and not counted and trainer.get("numNodes") != 1:
        what = (
            f"no replicated job {NODE!r} for MPI's workers" if framework == "mpi" else "no step that trains"
        )
        remedy = "add one" if framework == "mpi" else _LABEL_REMEDY
        yield asked, f"has no effect: the runtime {draft.runtime!r} has {what}; {remedy}"
    if trainer.get("numProcPerNode") is None:
        return
    unread = framework not in _WITH_PROCESSES or (framework == "mpi" and draft.step(LAUNCHER) is None)
    if unread or draft.ranked_step is None:
        yield (
            "spec.trainer.numProcPerNode",
            (
                f"has no effect with the runtime {draft.runtime!r} ({framework}): it starts one process "
                "a node; remove it, or use a runtime for torch, MPI or Flux"
            ),
        )


def _find_in_initializers(draft: JobDraft, initializer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the sections for initializers whose step has not the label by which it is found."""
    for section, role in _SECTIONS.items():
        if not initializer.get(section):
            continue
        if not any(step.role == role and step.container(role) is not None for step in draft.steps):
            yield (
                f"spec.initializer.{section}",
                (
                    f"has no effect: no replicated job of the runtime {draft.runtime!r} is labelled "
                    f"{names.LABEL_ANCESTOR}: {role}; label the one named {role!r} so"
                ),
            )


def find_misread_annotations(annotations: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields the annotations of this project's prefix that nothing reads, or whose value nothing knows."""
    for key, value in annotations.items():
        path = f"metadata.annotations[{key}]"
        allowed = _ANNOTATIONS.get(key)
        if allowed is None:
            close = get_close_matches(key, _ANNOTATIONS, n=1)
            remedy = f"did you mean {close[0]}?" if close else f"known: {', '.join(_ANNOTATIONS)}"
            yield path, f"has no effect: there is no such annotation; {remedy}"
        elif allowed and value not in allowed:
            yield path, f"has no effect: {value!r} is none of {', '.join(allowed)}"
        elif key == names.ANNOTATION_PRIORITY and not _is_integer(value):
            yield path, f"has no effect: {value!r} is no whole number"


def _is_integer(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
