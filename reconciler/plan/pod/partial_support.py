"""Fields that a plan takes in only in part, or not at all: each is said, none is dropped in silence.

What needs a cluster is in :mod:`reconciler.api.validation.unsupported_fields`; this is about what an engine could do or
nearly does. A value that asks for what happens anyway is not reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.plan.draft import StepDraft
from reconciler.plan.warnings import Notices

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
#: What these fields say when nothing is asked for.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "hostUsers": True,
    "mountPropagation": "None",
    "recursiveReadOnly": "Disabled",
    "procMount": "Default",
}


def warn_pod(step: StepDraft, notices: Notices) -> None:
    """Warn about a step's pod; ``notices`` is at the pod's spec."""
    _warn(step.pod, _POD, notices)
    if step.pod.get("hostname") and step.count > 1:
        notices.say("hostname", "the step has several instances: each is called by its own name")
    for place, volume in enumerate(step.pod.get("volumes") or ()):
        source = volume.get("emptyDir") or {}
        if source.get("sizeLimit") and source.get("medium") != "Memory":
            notices.say(f"volumes[{place}].emptyDir.sizeLimit", "the size of a folder is not limited")
    for field, group in (("initContainers", step.init_containers), ("containers", step.containers)):
        for place, container in enumerate(group):
            _warn_container(container, notices.at(f"{field}[{place}]"))


def _warn_container(container: Mapping[str, Any], notices: Notices) -> None:
    if not container.get("image"):
        notices.say("image", "no image is named: only the process engine, which needs none, can run it")
    _warn(container, _CONTAINER, notices)
    if container.get("startupProbe"):
        notices.say("startupProbe", "what comes after waits for it; one that fails restarts nothing")
    _warn(
        container.get("securityContext") or {},
        {"procMount": "/proc is mounted as the engine does it"},
        notices.at("securityContext"),
    )
    for place, mount in enumerate(container.get("volumeMounts") or ()):
        _warn(mount, _MOUNT, notices.at(f"volumeMounts[{place}]"))
    lifecycle = container.get("lifecycle") or {}
    for path, message in _HOOKS.items():
        value: Any = lifecycle
        for part in path:
            value = (value or {}).get(part)
        if value:
            notices.say(".".join(("lifecycle", *path)), message)
    for name in (container.get("resources") or {}).get("limits") or {}:
        if name == "ephemeral-storage" or name.startswith("hugepages-"):
            notices.say(f"resources.limits[{name}]", "engines do not limit it")


def _warn(values: Mapping[str, Any], table: Mapping[str, str], notices: Notices) -> None:
    for field, message in table.items():
        value = values.get(field)
        asked = value not in (None, "", {}, []) and value != _DEFAULTS.get(field, False)
        if asked:
            notices.say(field, message)
