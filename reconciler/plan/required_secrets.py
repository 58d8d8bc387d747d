"""Secrets that a job needs made, because no manifest has them: upstream's controller makes them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from reconciler.plan.frameworks.flux import CERTIFICATE_SUFFIX
from reconciler.plan.frameworks.mpi import KEYS_SUFFIX
from reconciler.plan.job_plan import JobPlan

GeneratedKind = Literal["ssh-keypair", "curve-certificate"]
#: By framework: ending of the Secret's name, and what it holds.
_KINDS: Final[Mapping[str, tuple[str, GeneratedKind]]] = {
    "mpi": (KEYS_SUFFIX, "ssh-keypair"),
    "flux": (CERTIFICATE_SUFFIX, "curve-certificate"),
}


@dataclass(frozen=True, kw_only=True)
class GeneratedSecret:
    """A Secret to be made once a job and kept as long as it.

    ``ssh-keypair``: ``ssh-privatekey`` (PEM) and ``ssh-publickey`` (a line of ``authorized_keys``);
    ``curve-certificate``: ``curve.cert``, as ``flux keygen`` writes it.
    """

    namespace: str
    name: str
    kind: GeneratedKind


def generated_secrets(plan: JobPlan) -> tuple[GeneratedSecret, ...]:
    """The Secrets that ``plan`` refers to and that have to be made."""
    if plan.framework not in _KINDS:
        return ()
    suffix, kind = _KINDS[plan.framework]
    name = f"{plan.name}-{suffix}"
    wanted = any(
        file.ref is not None and file.ref.kind == "Secret" and file.ref.name == name
        for pod in plan.pods
        for volume in pod.volumes
        for file in volume.files
    )
    return (GeneratedSecret(namespace=plan.namespace, name=name, kind=kind),) if wanted else ()
