"""Secrets that a job needs and no manifest has: upstream's controller generates them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from reconciler.plan.frameworks.flux import CERTIFICATE_SUFFIX
from reconciler.plan.frameworks.mpi import KEYS_SUFFIX
from reconciler.plan.job_plan import JobPlan

SecretKind = Literal["ssh-keypair", "curve-certificate"]
#: Framework -> suffix of its Secret's name, ``<job>-<suffix>``, and kind.
_SECRETS: Final[Mapping[str, tuple[str, SecretKind]]] = {
    "mpi": (KEYS_SUFFIX, "ssh-keypair"),
    "flux": (CERTIFICATE_SUFFIX, "curve-certificate"),
}


@dataclass(frozen=True, kw_only=True)
class GeneratedSecret:
    """A Secret to be generated once per job and kept as long as the job.

    ``ssh-keypair``: ``ssh-privatekey`` (PEM) and ``ssh-publickey`` (a line of ``authorized_keys``);
    ``curve-certificate``: ``curve.cert``, as ``flux keygen`` writes it.
    """

    namespace: str
    name: str
    kind: SecretKind


def required_secrets(plan: JobPlan) -> tuple[GeneratedSecret, ...]:
    """Returns the Secrets that ``plan`` refers to and the controller has to generate."""
    if plan.framework not in _SECRETS:
        return ()
    suffix, kind = _SECRETS[plan.framework]
    name = f"{plan.name}-{suffix}"
    referred = any(
        file.ref is not None and file.ref.kind == "Secret" and file.ref.name == name
        for pod in plan.pods
        for volume in pod.volumes
        for file in volume.files
    )
    return (GeneratedSecret(namespace=plan.namespace, name=name, kind=kind),) if referred else ()
