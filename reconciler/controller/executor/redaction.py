"""Masks a job's secrets in text from elsewhere: an engine quotes a command, a program prints its token.

A status lies beside the manifest for everybody to read, and the last lines of a failed container's log are
part of it. So the values of every Secret that the job uses are masked there. The kept log is what the program
printed, unchanged, for its owner's eyes alone (0600).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from reconciler.errors import PlanError
from reconciler.plan.job_plan import EnvFrom, JobPlan, KeyRef
from reconciler.plan.resolver import Lookup

MASK: Final = "****"
#: Shorter values (``yes``, ``1``) are in every text, and hide nothing.
MIN_LENGTH: Final = 4


def secret_mask(plan: JobPlan, lookup: Lookup) -> Callable[[str], str]:
    """Returns a function that masks a job's secrets in a text."""
    found: set[str] = set()
    for name in _secret_names(plan):
        with suppress(PlanError):
            for value in (lookup("Secret", name) or {}).values():
                found.update(_forms(value))
    # The longest first: one may contain another.
    values = sorted(found, key=lambda value: (-len(value), value))

    def mask(text: str) -> str:
        for value in values:
            text = text.replace(value, MASK)
        return text

    return mask


def _forms(value: bytes | str) -> Iterable[str]:
    """The value, its lines, and as a program would quote it."""
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
    for form in {text, text.strip(), *text.splitlines()}:
        if len(form.strip()) >= MIN_LENGTH:
            yield form
            yield repr(form)[1:-1]


def _secret_names(plan: JobPlan) -> set[str]:
    refs: list[KeyRef | EnvFrom | None] = []
    names: set[str] = set()
    for pod in plan.pods:
        names.update(pod.pull_secrets)
        for container in pod.containers:
            refs += [variable.ref for variable in container.env]
            refs += container.env_from
        for volume in pod.volumes:
            refs += [file.ref for file in volume.files]
            refs += volume.all_keys_of
    return names | {ref.name for ref in refs if ref is not None and ref.kind == "Secret"}
