"""Fields of a pod that are supported in part, or not at all: each gives a warning, none is dropped silently.

Fields that need a cluster are in :mod:`reconciler.api.validation.unsupported_fields`; those here an engine
could support, or nearly does. A value that asks for what happens anyway gives no warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.plan.draft import StepDraft
from reconciler.plan.field_warnings import FieldWarnings

_POD: Final = {
    "activeDeadlineSeconds": "not watched by pod: set it on the Job or the TrainJob",
    "hostUsers": "whether containers have users of their own is the engine's setting",
    "hostnameOverride": "the host name is the container's name",
    "resources": "limits are set by container, not for the pod as a whole",
    "runtimeClassName": "containers run in the engine's own runtime",
    "setHostnameAsFQDN": "the host name is the container's name",
    "subdomain": "names come from the JobSet's network.subdomain",
}
_CONTAINER: Final = {
    "livenessProbe": "liveness probes are not run: a hanging container is not restarted",
    "restartPolicyRules": "the pod's restartPolicy decides",
    "stdinOnce": "standard input stays open",
}
_SECURITY_CONTEXT: Final = {"procMount": "/proc is mounted as the engine does it"}
_MOUNT: Final = {
    "mountPropagation": "mounts are not passed on",
    "recursiveReadOnly": "what is mounted below may be written to",
}
_HOOKS: Final = {
    ("postStart",): "hooks after the start are not run",
    ("preStop", "httpGet"): "only exec and sleep are run before a stop",
    ("preStop", "tcpSocket"): "only exec and sleep are run before a stop",
    ("stopSignal",): "containers are stopped by the signal their image names",
}
_PROBES: Final = {
    ("httpGet", "host"): "the container's own address is asked; a Host header can be set in httpHeaders",
    ("tcpSocket", "host"): "the container's own address is asked",
    ("grpc",): "whether the port takes connections is checked, not what the service answers",
}
#: Values of these fields that ask for nothing.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "hostUsers": True,
    "mountPropagation": "None",
    "recursiveReadOnly": "Disabled",
    "procMount": "Default",
}


def warn_pod(step: StepDraft, warnings: FieldWarnings) -> None:
    """Warns about a step's pod; ``warnings`` is at the pod's spec."""
    _warn(step.pod, _POD, warnings)
    if step.pod.get("hostname") and step.count > 1:
        warnings.add("hostname", "the step has several pods: each is called by its own name")
    for position, volume in enumerate(step.pod.get("volumes") or ()):
        source = volume.get("emptyDir") or {}
        if source.get("sizeLimit") and source.get("medium") != "Memory":
            warnings.add(f"volumes[{position}].emptyDir.sizeLimit", "the size of a folder is not limited")
    for field, group in (("initContainers", step.init_containers), ("containers", step.containers)):
        for position, container in enumerate(group):
            _warn_container(container, warnings.child(f"{field}[{position}]"))


def _warn_container(container: Mapping[str, Any], warnings: FieldWarnings) -> None:
    if not container.get("image"):
        warnings.add("image", "no image is named: only the process engine, which needs none, can run it")
    _warn(container, _CONTAINER, warnings)
    if container.get("startupProbe"):
        warnings.add("startupProbe", "what comes after waits for it; one that fails restarts nothing")
    context = container.get("securityContext") or {}
    _warn(context, _SECURITY_CONTEXT, warnings.child("securityContext"))
    for position, mount in enumerate(container.get("volumeMounts") or ()):
        _warn(mount, _MOUNT, warnings.child(f"volumeMounts[{position}]"))
    _warn_nested(container, "lifecycle", _HOOKS, warnings)
    for probe in ("readinessProbe", "startupProbe"):
        _warn_nested(container, probe, _PROBES, warnings)
    for name in (container.get("resources") or {}).get("limits") or {}:
        if name == "ephemeral-storage" or name.startswith("hugepages-"):
            warnings.add(f"resources.limits[{name}]", "engines do not limit it")


def _warn(values: Mapping[str, Any], table: Mapping[str, str], warnings: FieldWarnings) -> None:
    for field, message in table.items():
        value = values.get(field)
        if value not in (None, "", {}, []) and value != _DEFAULTS.get(field, False):
            warnings.add(field, message)


def _warn_nested(
    container: Mapping[str, Any],
    field: str,
    table: Mapping[tuple[str, ...], str],
    warnings: FieldWarnings,
) -> None:
    for path, message in table.items():
        value: Any = container.get(field)
        for part in path:
            value = (value or {}).get(part)
        if value:
            warnings.add(".".join((field, *path)), message)
