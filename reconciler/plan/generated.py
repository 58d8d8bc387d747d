"""Secrets that a job needs made, because no manifest has them: upstream's controller makes them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from reconciler.plan.frameworks.mpi import KEYS_SUFFIX
from reconciler.plan.types import JobPlan

GeneratedKind = Literal["ssh-keypair", "curve-certificate"]
_KINDS: Final[dict[str, GeneratedKind]] = {KEYS_SUFFIX: "ssh-keypair"}


@dataclass(frozen=True, kw_only=True)
class GeneratedSecret:
    """A Secret to be made once a job and kept as long as it.

    ``ssh-keypair``: ``ssh-privatekey`` (PEM) and ``ssh-publickey`` (a line of ``authorized_keys``).
    """

    namespace: str
    name: str
    kind: GeneratedKind


def generated_secrets(plan: JobPlan) -> tuple[GeneratedSecret, ...]:
    """The Secrets that ``plan`` refers to and that have to be made."""
    wanted = (
        {f"{plan.name}-{suffix}": kind for suffix, kind in _KINDS.items()} if plan.framework == "mpi" else {}
    )
    named = {
        file.ref.name
        for instance in plan.instances
        for volume in instance.volumes
        for file in volume.files
        if file.ref is not None and file.ref.kind == "Secret"
    }
    return tuple(
        GeneratedSecret(namespace=plan.namespace, name=name, kind=kind)
        for name, kind in wanted.items()
        if name in named
    )
