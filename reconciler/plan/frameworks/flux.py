"""Flux: a resource manager inside the job; rank 0 runs the job's command over all nodes.

As upstream's plugin: an init container installs Flux itself (its "view"), a CURVE certificate encrypts the
brokers' connections, and the node's command is wrapped. Two differences: the brokers get addresses, which
are known beforehand here, not names of a cluster's DNS; and an image that has Flux needs no installer
(``FLUX_VIEW_IMAGE`` set to nothing).

The files go into a ConfigMap that exists only in the plan; the controller generates the certificate.
"""

from __future__ import annotations

import shlex
from typing import Final

from reconciler import names
from reconciler.api.step_names import NODE
from reconciler.plan.draft import JobDraft, Raw, StepDraft, set_env, set_mount
from reconciler.plan.expansion import address_reference
from reconciler.plan.frameworks.node_count import set_node_count

FILES_SUFFIX: Final = "flux-entrypoint"
CERTIFICATE_SUFFIX: Final = "flux-curve"
CERTIFICATE: Final = "curve.cert"
INSTALLER: Final = "flux-installer"
VIEW_IMAGE: Final = "ghcr.io/converged-computing/flux-view-ubuntu:tag-jammy"
PORT: Final = 8050

_FOLDER: Final = "/etc/flux-config"
_SETTINGS: Final = {"FLUX_VIEW_IMAGE": VIEW_IMAGE, "FLUX_NETWORK_DEVICE": "", "FLUX_QUEUE_POLICY": "fcfs"}

#: Runs in the view's image: copies Flux and the software it is linked to into the node's volumes.
_INSTALL: Final = """\
#!/bin/bash
set -eu
mkdir -p /mnt/flux/view /mnt/flux/software
cp -R "$(readlink -f /opt/view)/." /mnt/flux/view/
cp -R /opt/software/. /mnt/flux/software/
"""

_ENTRYPOINT: Final = """\
#!/bin/bash
set -eu
command="${{1:-}}"
state=/mnt/flux/config
if [ -d /mnt/flux/view/bin ]; then
  export PATH="$PATH:/mnt/flux/view/bin"
  cp -R /mnt/flux/software/. /opt/software/
  for site in /mnt/flux/view/lib/python3*/site-packages; do
    export PYTHONPATH="${{PYTHONPATH:-}}:$site"
  done
fi
mkdir -p "$state/run" "$state/lib"
install -m 0600 /curve/curve.cert "$state/curve.cert"
flux R encode --hosts={hosts} --cores={cores}{gpus} > "$state/R"
options="-Srundir=$state/run -Sstatedir=$state/lib -Slocal-uri=local://$state/run/local"
broker="flux start -o --config-path={folder}/broker.toml"
for option in $options; do
  broker="$broker -o $option"
done
if [ "$(hostname)" != "{lead}" ]; then
  # The lead broker may be up later; one that leaves in order ends the job.
  until $broker; do
    sleep 5
  done
elif [ -n "$command" ]; then
  eval "exec $broker flux run {flags} $command"
else
  # Nothing to run: a cluster to log in to, until it is stopped.
  exec $broker sleep infinity
fi
"""

_BROKER: Final = """\
[access]
allow-guest-user = true
allow-root-owner = true

[resource]
path = "/mnt/flux/config/R"

[bootstrap]
curve_cert = "/mnt/flux/config/curve.cert"
default_port = {port}
hosts = [
{hosts}]

[sched-fluxion-qmanager]
queue-policy = "{policy}"
"""


def apply(draft: JobDraft) -> None:
    """Sets the number of nodes, Flux's files and volumes, and wraps the command."""
    set_node_count(draft)
    step = draft.ranked_step
    node = step.container(NODE) if step else None
    if step is None or node is None or not step.count:
        return
    set_env(node, *draft.trainer_env)
    settings = _settings(node)
    _write_files(draft, step, settings)
    _add_volumes(draft, step, node)
    if settings["FLUX_VIEW_IMAGE"]:
        _add_installer(draft, step, settings["FLUX_VIEW_IMAGE"])
    words = [
        *(draft.trainer.get("command") or node.get("command") or ()),
        *(draft.trainer.get("args") or ()),
    ]
    draft.trainer["command"] = ["/bin/bash", f"{_FOLDER}/entrypoint.sh", shlex.join(words)]
    draft.trainer["args"] = None
    node.pop("args", None)


def _settings(node: Raw) -> dict[str, str]:
    """Reads settings from environment variables of the node, as upstream reads them."""
    given = {v["name"]: str(v.get("value") or "") for v in node.get("env") or () if "valueFrom" not in v}
    return {name: given.get(name, default) for name, default in _SETTINGS.items()}


def _write_files(draft: JobDraft, step: StepDraft, settings: dict[str, str]) -> None:
    policy = draft.ml_policy.get("flux") or {}
    tasks = int(draft.trainer.get("numProcPerNode") or policy.get("numProcPerNode") or 1)
    gpus = draft.gpus
    # The nodes' host names, with which a broker finds its rank.
    hosts = [
        names.host_name(names.pod_name(draft.namespace, draft.name, NODE, index, step.count))
        for index in range(step.count)
    ]
    flags = f"-N {step.count} -n {tasks * step.count}" + (f" -g {max(1, gpus // tasks)}" if gpus else "")
    bind = settings["FLUX_NETWORK_DEVICE"]
    entries = "".join(
        f'  {{ host = "{host}", bind = "tcp://{bind or address_reference(step.name, index)}:{PORT}", '
        f'connect = "tcp://{address_reference(step.name, index)}:{PORT}" }},\n'
        for index, host in enumerate(hosts)
    )
    name = draft.object_name(FILES_SUFFIX)
    draft.files[name, "init.sh"] = _INSTALL
    draft.files[name, "entrypoint.sh"] = _ENTRYPOINT.format(
        hosts=",".join(hosts),
        cores=_range(tasks),
        gpus=f" --gpus={_range(gpus)}" if gpus else "",
        folder=_FOLDER,
        lead=hosts[0],
        flags=flags,
    )
    draft.files[name, "broker.toml"] = _BROKER.format(
        port=PORT, hosts=entries, policy=settings["FLUX_QUEUE_POLICY"]
    )


def _range(count: int) -> str:
    return "0" if count == 1 else f"0-{count - 1}"


def _add_volumes(draft: JobDraft, step: StepDraft, node: Raw) -> None:
    files = draft.object_name(FILES_SUFFIX)
    certificate = {
        "secretName": draft.object_name(CERTIFICATE_SUFFIX),
        "defaultMode": 0o400,
        "items": [{"key": CERTIFICATE, "path": CERTIFICATE}],
    }
    for volume in (
        {"name": "spack-install", "emptyDir": {}},
        {"name": "flux-install", "emptyDir": {}},
        {"name": files, "configMap": {"name": files, "defaultMode": 0o755}},
        {"name": "dshm", "emptyDir": {"medium": "Memory"}},
        {"name": CERTIFICATE_SUFFIX, "secret": certificate},
    ):
        step.add_volume(volume)
    for mount in (
        {"name": "flux-install", "mountPath": "/mnt/flux"},
        {"name": "spack-install", "mountPath": "/opt/software"},
        {"name": files, "mountPath": _FOLDER, "readOnly": True},
        {"name": CERTIFICATE_SUFFIX, "mountPath": "/curve", "readOnly": True},
        {"name": "dshm", "mountPath": "/dev/shm"},  # noqa: S108  (a mount point, not a temporary file)
    ):
        set_mount(node, mount)


def _add_installer(draft: JobDraft, step: StepDraft, image: str) -> None:
    installer = {
        "name": INSTALLER,
        "image": image,
        "command": ["/bin/bash", f"{_FOLDER}/init.sh"],
        "volumeMounts": [
            {"name": "flux-install", "mountPath": "/mnt/flux"},
            {"name": draft.object_name(FILES_SUFFIX), "mountPath": _FOLDER, "readOnly": True},
        ],
    }
    step.pod["initContainers"] = [*step.init_containers, installer]
