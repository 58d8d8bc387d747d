"""What a manifest may say: models, loading, validation. No I/O.

The names below are imported when first used: building some hundred pydantic classes takes a fifth of a
second, which ``reconciler --help`` and code that needs only :class:`Fault` should not pay. Types that are not
here are in the module of their subject.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from reconciler.api.admission import check
    from reconciler.api.base import Model
    from reconciler.api.configs import ConfigMap, Secret
    from reconciler.api.containers import (
        Container,
        ContainerPort,
        ResourceRequirements,
        VolumeDevice,
        VolumeMount,
    )
    from reconciler.api.documents import Document, Loaded
    from reconciler.api.dumping import dump, dump_all
    from reconciler.api.environment import EnvFromSource, EnvVar, EnvVarSource
    from reconciler.api.faults import Fault
    from reconciler.api.jobs import JobSpec, JobTemplateSpec, PodFailurePolicy, PodFailurePolicyRule
    from reconciler.api.jobsets import (
        DependsOn,
        FailurePolicy,
        FailurePolicyRule,
        JobSetSpec,
        JobSetTemplateSpec,
        Network,
        ReplicatedJob,
        StartupPolicy,
        SuccessPolicy,
        VolumeClaimPolicy,
    )
    from reconciler.api.loading import load
    from reconciler.api.meaningless import warn_meaningless
    from reconciler.api.metadata import EmbeddedMetadata, LocalObjectReference, ObjectMeta
    from reconciler.api.patches import (
        ContainerPatch,
        PodSpecPatch,
        ReplicatedJobPatch,
        RuntimePatch,
        TrainingRuntimeSpecPatch,
    )
    from reconciler.api.pods import HostAlias, PodDNSConfig, PodSpec, PodTemplateSpec
    from reconciler.api.policies import (
        FluxMLPolicySource,
        JAXMLPolicySource,
        MLPolicy,
        MPIMLPolicySource,
        PodGroupPolicy,
        TorchEnvInjection,
        TorchMLPolicySource,
        XGBoostMLPolicySource,
    )
    from reconciler.api.probes import Lifecycle, LifecycleHandler, Probe
    from reconciler.api.runtimes import ClusterTrainingRuntime, Runtime, TrainingRuntime, TrainingRuntimeSpec
    from reconciler.api.security import Capabilities, PodSecurityContext, SecurityContext
    from reconciler.api.statuses import Condition, JobStatus, Metric, TrainerStatus, TrainJobStatus
    from reconciler.api.trainjobs import (
        DatasetInitializer,
        Initializer,
        ModelInitializer,
        RuntimeRef,
        Trainer,
        TrainJob,
        TrainJobSpec,
    )
    from reconciler.api.updates import check_update
    from reconciler.api.volumes import (
        EmptyDirVolumeSource,
        HostPathVolumeSource,
        ProjectedVolumeSource,
        Volume,
    )

_HOMES: Final = {
    "admission": ("check",),
    "base": ("Model",),
    "configs": ("ConfigMap", "Secret"),
    "containers": ("Container", "ContainerPort", "ResourceRequirements", "VolumeDevice", "VolumeMount"),
    "documents": ("Document", "Loaded"),
    "dumping": ("dump", "dump_all"),
    "environment": ("EnvFromSource", "EnvVar", "EnvVarSource"),
    "faults": ("Fault",),
    "jobs": ("JobSpec", "JobTemplateSpec", "PodFailurePolicy", "PodFailurePolicyRule"),
    "jobsets": (
        "DependsOn",
        "FailurePolicy",
        "FailurePolicyRule",
        "JobSetSpec",
        "JobSetTemplateSpec",
        "Network",
        "ReplicatedJob",
        "StartupPolicy",
        "SuccessPolicy",
        "VolumeClaimPolicy",
    ),
    "loading": ("load",),
    "meaningless": ("warn_meaningless",),
    "metadata": ("EmbeddedMetadata", "LocalObjectReference", "ObjectMeta"),
    "patches": (
        "ContainerPatch",
        "PodSpecPatch",
        "ReplicatedJobPatch",
        "RuntimePatch",
        "TrainingRuntimeSpecPatch",
    ),
    "pods": ("HostAlias", "PodDNSConfig", "PodSpec", "PodTemplateSpec"),
    "policies": (
        "FluxMLPolicySource",
        "JAXMLPolicySource",
        "MLPolicy",
        "MPIMLPolicySource",
        "PodGroupPolicy",
        "TorchEnvInjection",
        "TorchMLPolicySource",
        "XGBoostMLPolicySource",
    ),
    "probes": ("Lifecycle", "LifecycleHandler", "Probe"),
    "runtimes": ("ClusterTrainingRuntime", "Runtime", "TrainingRuntime", "TrainingRuntimeSpec"),
    "security": ("Capabilities", "PodSecurityContext", "SecurityContext"),
    "statuses": ("Condition", "JobStatus", "Metric", "TrainerStatus", "TrainJobStatus"),
    "trainjobs": (
        "DatasetInitializer",
        "Initializer",
        "ModelInitializer",
        "RuntimeRef",
        "Trainer",
        "TrainJob",
        "TrainJobSpec",
    ),
    "updates": ("check_update",),
    "volumes": ("EmptyDirVolumeSource", "HostPathVolumeSource", "ProjectedVolumeSource", "Volume"),
}
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Capabilities",
    "ClusterTrainingRuntime",
    "Condition",
    "ConfigMap",
    "Container",
    "ContainerPatch",
    "ContainerPort",
    "DatasetInitializer",
    "DependsOn",
    "Document",
    "EmbeddedMetadata",
    "EmptyDirVolumeSource",
    "EnvFromSource",
    "EnvVar",
    "EnvVarSource",
    "FailurePolicy",
    "FailurePolicyRule",
    "Fault",
    "FluxMLPolicySource",
    "HostAlias",
    "HostPathVolumeSource",
    "Initializer",
    "JAXMLPolicySource",
    "JobSetSpec",
    "JobSetTemplateSpec",
    "JobSpec",
    "JobStatus",
    "JobTemplateSpec",
    "Lifecycle",
    "LifecycleHandler",
    "Loaded",
    "LocalObjectReference",
    "MLPolicy",
    "MPIMLPolicySource",
    "Metric",
    "Model",
    "ModelInitializer",
    "Network",
    "ObjectMeta",
    "PodDNSConfig",
    "PodFailurePolicy",
    "PodFailurePolicyRule",
    "PodGroupPolicy",
    "PodSecurityContext",
    "PodSpec",
    "PodSpecPatch",
    "PodTemplateSpec",
    "Probe",
    "ProjectedVolumeSource",
    "ReplicatedJob",
    "ReplicatedJobPatch",
    "ResourceRequirements",
    "Runtime",
    "RuntimePatch",
    "RuntimeRef",
    "Secret",
    "SecurityContext",
    "StartupPolicy",
    "SuccessPolicy",
    "TorchEnvInjection",
    "TorchMLPolicySource",
    "TrainJob",
    "TrainJobSpec",
    "TrainJobStatus",
    "Trainer",
    "TrainerStatus",
    "TrainingRuntime",
    "TrainingRuntimeSpec",
    "TrainingRuntimeSpecPatch",
    "Volume",
    "VolumeClaimPolicy",
    "VolumeDevice",
    "VolumeMount",
    "XGBoostMLPolicySource",
    "check",
    "check_update",
    "dump",
    "dump_all",
    "load",
    "warn_meaningless",
]


def __getattr__(name: str) -> Any:
    """Import the module that has ``name``, at first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
