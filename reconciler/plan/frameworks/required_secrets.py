"""Secrets that a job needs and no manifest has: upstream's controller generates them too."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.plan.frameworks.framework import SecretKind
from reconciler.plan.frameworks.registry import PLUGINS
from reconciler.plan.job_plan import JobPlan


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
    template = next((f.secret for f in PLUGINS.values() if f.name == plan.framework), None)
    if template is None:
        return ()
    name = f"{plan.name}-{template.suffix}"
    referred = any(
        file.ref is not None and file.ref.kind == "Secret" and file.ref.name == name
        for pod in plan.pods
        for volume in pod.volumes
        for file in volume.files
    )
    return (GeneratedSecret(namespace=plan.namespace, name=name, kind=template.kind),) if referred else ()
