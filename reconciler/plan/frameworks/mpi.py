"""MPI: a launcher, workers with sshd, a hostfile and one key pair a job (upstream's OpenMPI plugin).

Workers (the step ``node``) are the ranks; the launcher starts the processes and is no rank, also where
``runLauncherAsNode`` makes it one of the nodes. The key pair is a Secret that the controller makes
once a job: :func:`reconciler.plan.required_secrets.generated_secrets` names it.

One difference from upstream: ``mlPolicy.numNodes`` above one counts nodes here, as for every other
framework, where upstream would make that many launchers.
"""

from __future__ import annotations

from typing import Final

from reconciler.plan.draft import LAUNCHER, NODE, TRAINER, JobDraft, Raw, StepDraft, set_mount, set_value
from reconciler.plan.expansion import reference

KEYS_SUFFIX: Final = "mpi-ssh-auth"
HOSTFILE_SUFFIX: Final = "mpi-hostfile"
PRIVATE_KEY: Final = "ssh-privatekey"
PUBLIC_KEY: Final = "ssh-publickey"
HOSTFILE: Final = "hostfile"
HOSTFILE_FOLDER: Final = "/etc/mpi"
KEYS_FOLDER: Final = "/root/.ssh"


class Mpi:
    """Upstream's MPI plugin."""

    name = "mpi"

    def apply(self, draft: JobDraft) -> None:
        """Set the numbers of launchers and workers, keys, hostfile and ``OMPI_MCA_*``."""
        policy = draft.policy["mpi"] or {}
        as_node = bool(policy.get("runLauncherAsNode"))
        _count(draft, launcher_is_node=as_node)
        slots = _slots(draft, policy)
        for step in draft.steps:
            if step.name in (NODE, LAUNCHER):
                _add_keys(draft, step, policy.get("sshAuthMountPath") or KEYS_FOLDER)
        launcher = draft.step(LAUNCHER)
        if launcher is not None:
            _add_hostfile(draft, launcher, slots, launcher_is_node=as_node)


def _count(draft: JobDraft, *, launcher_is_node: bool) -> None:
    workers, launcher = draft.step(NODE), draft.step(LAUNCHER)
    if launcher is not None:
        launcher.pods = 1
        launcher.leads = launcher_is_node
    wanted = draft.trainer.get("numNodes")
    if wanted is None and int(draft.policy.get("numNodes") or 1) > 1:
        wanted = draft.policy["numNodes"]
    if workers is not None:
        workers.ranked = True
        if wanted is not None:
            workers.pods = max(int(wanted) - launcher_is_node, 1)
    elif (alone := draft.trainer_step) is not None:
        alone.ranked, alone.leads = True, False


def _slots(draft: JobDraft, policy: Raw) -> int:
    """Processes a node: what the job says; else the runtime's, where 1 stands for a node's GPUs."""
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
    secret = {"secretName": draft.own_name(KEYS_SUFFIX), "items": items}
    step.add_volume({"name": KEYS_SUFFIX, "secret": secret})
    node = step.container(NODE)
    if node is not None:
        set_mount(node, {"name": KEYS_SUFFIX, "mountPath": folder})


def _add_hostfile(draft: JobDraft, launcher: StepDraft, slots: int, *, launcher_is_node: bool) -> None:
    name = draft.own_name(HOSTFILE_SUFFIX)
    hosts = [
        reference(step.name, index)
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


def reaches_workers(draft: JobDraft, step: StepDraft) -> bool:
    """Whether the job's resources and environment reach a step that lacks the trainer's label."""
    policy = draft.policy.get("mpi") or {}
    return bool(policy.get("runLauncherAsNode")) and step.name == NODE and step.role != TRAINER
