"""The manifest field behind a field of a pod."""

from __future__ import annotations

from reconciler.plan.policy.field_locations import locate_field
from tests.support.manifests import runtime, trainjob


def test_a_field_is_located_where_it_is_set_last() -> None:
    runtime_manifest = runtime(
        "rt", "image", container={"securityContext": {"privileged": True}}, pod={"hostPID": True}
    )
    patch = {
        "replicatedJobs": [{"name": "node", "template": {"spec": {"template": {"spec": {"hostPID": True}}}}}]
    }
    job = trainjob("j", "rt", image="mine")
    job["spec"]["runtimePatches"] = [{"manager": "m", "trainingRuntimeSpec": {"template": {"spec": patch}}}]

    def place(*field: str) -> tuple[str, str]:
        found = locate_field("node", field, job=job, runtime=runtime_manifest)
        return found.document, found.path

    pod = "template.spec.template.spec"
    assert place("containers", "node", "image") == ("job", "spec.trainer.image")
    assert place("hostPID") == (
        "job",
        f"spec.runtimePatches[0].trainingRuntimeSpec.template.spec.replicatedJobs[0].{pod}.hostPID",
    )
    assert place("containers", "node", "securityContext", "privileged") == (
        "runtime",
        f"spec.template.spec.replicatedJobs[0].{pod}.containers[0].securityContext.privileged",
    )
    assert place("sysctls") == ("job", "spec.runtimeRef")
