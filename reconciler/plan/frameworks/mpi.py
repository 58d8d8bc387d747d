"""MPI: a launcher, workers with sshd, a hostfile and one key pair per job (upstream's OpenMPI plugin).

Workers (the step ``node``) are the ranks; the launcher starts the processes and has no rank, also where
``runLauncherAsNode`` makes it one of the nodes. The key pair is a Secret that the controller generates.

One difference from upstream: ``mlPolicy.numNodes`` above one counts nodes here, as for every other
framework, where upstream would create that many launchers.
"""

from __future__ import annotations

from typing import Final

from reconciler.api.step_names import LAUNCHER, NODE, TRAINER
from reconciler.plan.draft import JobDraft, Raw, StepDraft, set_mount, set_value
from reconciler.plan.expansion import address_reference

KEYS_SUFFIX: Final = "mpi-ssh-auth"
HOSTFILE_SUFFIX: Final = "mpi-hostfile"
PRIVATE_KEY: Final = "ssh-privatekey"
PUBLIC_KEY: Final = "ssh-publickey"
HOSTFILE: Final = "hostfile"
HOSTFILE_FOLDER: Final = "/etc/mpi"
KEYS_FOLDER: Final = "/root/.ssh"


def apply(draft: JobDraft) -> None:
    """Sets the numbers of launchers and workers, keys, hostfile and ``OMPI_MCA_*``."""
    policy = draft.ml_policy["mpi"] or {}
    launcher_is_node = bool(policy.get("runLauncherAsNode"))
    _set_pod_counts(draft, launcher_is_node=launcher_is_node)
    for step in draft.steps:
        if step.name in (NODE, LAUNCHER):
            _add_keys(draft, step, policy.get("sshAuthMountPath") or KEYS_FOLDER)
    launcher = draft.step(LAUNCHER)
    if launcher is not None:
        _add_hostfile(draft, launcher, _slots(draft, policy), launcher_is_node=launcher_is_node)


def _set_pod_counts(draft: JobDraft, *, launcher_is_node: bool) -> None:
    workers, launcher = draft.step(NODE), draft.step(LAUNCHER)
    if launcher is not None:
        launcher.pods = 1
        launcher.counts_as_node = launcher_is_node
    nodes = draft.trainer.get("numNodes")
    if nodes is None and int(draft.ml_policy.get("numNodes") or 1) > 1:
        nodes = draft.ml_policy["numNodes"]
    if workers is not None:
        workers.ranked = True
        if nodes is not None:
            workers.pods = max(int(nodes) - launcher_is_node, 1)
    elif (alone := draft.trainer_step) is not None:
        alone.ranked, alone.counts_as_node = True, False


def _slots(draft: JobDraft, policy: Raw) -> int:
    """Returns the processes per node: the job's own, else the runtime's, where 1 means one per GPU."""
    explicit = draft.trainer.get("numProcPerNode")
    if explicit is not None:
        return int(explicit)
    slots = int(policy.get("numProcPerNode") or 1)
    return max(draft.gpus, 1) if slots == 1 else slots


def _add_keys(draft: JobDraft, step: StepDraft, folder: str) -> None:
    items = [
        {"key": PRIVATE_KEY, "path": "id_rsa", "mode": 0o640},
        {"key": PUBLIC_KEY, "path": "id_rsa.pub", "mode": 0o644},
        {"key": PUBLIC_KEY, "path": "authorized_keys", "mode": 0o644},
    ]
    secret = {"secretName": draft.object_name(KEYS_SUFFIX), "items": items}
    step.add_volume({"name": KEYS_SUFFIX, "secret": secret})
    node = step.container(NODE)
    if node is not None:
        set_mount(node, {"name": KEYS_SUFFIX, "mountPath": folder})


def _add_hostfile(draft: JobDraft, launcher: StepDraft, slots: int, *, launcher_is_node: bool) -> None:
    name = draft.object_name(HOSTFILE_SUFFIX)
    hosts = [
        address_reference(step.name, index)
        for step in draft.steps
        if step.name == NODE or (launcher_is_node and step is launcher)
        for index in range(step.count)
    ]
    draft.files[name, HOSTFILE] = "".join(f"{host} slots={slots}\n" for host in hosts)
    items = [{"key": HOSTFILE, "path": HOSTFILE, "mode": 0o444}]
    launcher.add_volume({"name": HOSTFILE_SUFFIX, "configMap": {"name": name, "items": items}})
    node = launcher.container(NODE)
    if node is not None:
        set_mount(node, {"name": HOSTFILE_SUFFIX, "mountPath": HOSTFILE_FOLDER})
        set_value(node, "OMPI_MCA_orte_default_hostfile", f"{HOSTFILE_FOLDER}/{HOSTFILE}")
        set_value(node, "OMPI_MCA_orte_keep_fqdn_hostnames", "true")
        set_value(node, "OMPI_MCA_orte_set_default_slots", slots)
        set_value(node, "OMPI_MCA_plm_rsh_args", "-o ConnectionAttempts=10")


def trainer_reaches_workers(draft: JobDraft, step: StepDraft) -> bool:
    """Whether ``spec.trainer``'s resources and environment apply to a step without the trainer's label."""
    policy = draft.ml_policy.get("mpi") or {}
    return bool(policy.get("runLauncherAsNode")) and step.name == NODE and step.role != TRAINER
