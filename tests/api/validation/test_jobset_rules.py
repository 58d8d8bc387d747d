"""Rules of JobSet's webhook and the API server for a runtime's template."""

from __future__ import annotations

import pytest

from tests.api.manifests import container, errors, patch, runtime, step, trainjob

BASE = "spec.template.spec"
JOB = f"{BASE}.replicatedJobs[0]"
POD = f"{JOB}.template.spec.template.spec"


def _after(*names, status="Complete"):
    return {"dependsOn": [{"name": name, "status": status} for name in names]}


def _rule(**fields):
    return {"failurePolicy": {"rules": [{"name": "r", "action": "FailJobSet", **fields}]}}


RULE = f"{BASE}.failurePolicy.rules[0]"


@pytest.mark.parametrize(
    ("steps", "path", "said"),
    [
        (
            [step("a", **_after("b")), step("b")],
            f"{BASE}.replicatedJobs[0].dependsOn",
            "first replicated job",
        ),
        (
            [step("a"), step("b", **_after("c")), step("c")],
            f"{BASE}.replicatedJobs[1].dependsOn[0].name",
            "after it",
        ),
        (
            [step("a"), step("b", **_after("x"))],
            f"{BASE}.replicatedJobs[1].dependsOn[0].name",
            "does not exist",
        ),
        ([step("a"), step("b", **_after("b"))], f"{BASE}.replicatedJobs[1].dependsOn[0].name", "itself"),
        (
            [step("a"), step("b", **_after("a", "c")), step("c")],
            f"{BASE}.replicatedJobs[1].dependsOn[1].name",
            "c",
        ),
        ([step("Node")], f"{BASE}.replicatedJobs[0].name", "1123"),
        ([step("a" * 64)], f"{BASE}.replicatedJobs[0].name", "63"),
        ([step(groupName="Big Group")], f"{JOB}.groupName", "1035"),
        ([step(replicas=-1)], f"{JOB}.replicas", "equal to 0"),
        ([step(replicas=2**20, job={"parallelism": 2**20})], f"{JOB}.replicas", "must not exceed"),
    ],
)
def test_replicated_jobs(steps, path, said):
    found = errors(runtime(steps=steps))
    assert list(found) == [path]
    assert said in found[path]


def test_jobs_may_depend_on_those_before_them():
    assert errors(runtime(steps=[step("a"), step("b", **_after("a")), step("c", **_after("a", "b"))])) == {}


@pytest.mark.parametrize(
    ("jobset", "path", "said"),
    [
        ({"network": {"subdomain": "Sub.Domain"}}, f"{BASE}.network.subdomain", "1035"),
        ({"managedBy": "me"}, f"{BASE}.managedBy", "domain-prefixed"),
        ({"successPolicy": {"operator": "Any", "targetReplicatedJobs": ["x"]}}, f"{BASE}.successPolicy.targetReplicatedJobs[0]", "it has: node"),
        (_rule(targetReplicatedJobs=["node", "x"]), f"{RULE}.targetReplicatedJobs[1]", "x"),
        (_rule(onJobFailureReasons=["Boredom"]), f"{RULE}.onJobFailureReasons[0]", "BackoffLimitExceeded"),
        (_rule(onJobFailureMessagePatterns=["("]), f"{RULE}.onJobFailureMessagePatterns[0]", "regular expression"),
        (_rule(name="1x"), f"{RULE}.name", "start with a letter"),
        (_rule(name=""), f"{RULE}.name", "1 to 128"),
        (_rule(name="a" * 129), f"{RULE}.name", "1 to 128"),
        ({"coordinator": {"replicatedJob": "x"}}, f"{BASE}.coordinator.replicatedJob", "does not appear"),
        ({"coordinator": {"replicatedJob": "node", "jobIndex": 1}}, f"{BASE}.coordinator.jobIndex", "no such index"),
        ({"coordinator": {"replicatedJob": "node", "podIndex": -1}}, f"{BASE}.coordinator.podIndex", "no such pod"),
        ({"volumeClaimPolicies": [{"templates": [{"spec": {}}]}]}, f"{BASE}.volumeClaimPolicies[0].templates[0].metadata.name", "Required"),
        ({"volumeClaimPolicies": [{"templates": [{"metadata": {"name": "a"}}]}] * 2}, f"{BASE}.volumeClaimPolicies[1].templates[0].metadata.name", "Duplicate"),
    ],
)  # fmt: skip
def test_policies(jobset, path, said):
    found = errors(runtime(jobset=jobset))
    assert list(found) == [path]
    assert said in found[path]


CLAIM = {"volumeClaimPolicies": [{"templates": [{"metadata": {"name": "data"}, "spec": {}}]}]}


def test_a_claim_is_mounted_by_the_runtime_or_by_a_patch():
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    using = runtime(steps=[step(ancestor="trainer", containers=[container(**mount)])], jobset=CLAIM)
    patching = patch({"containers": [{"name": "node", **mount}]})
    unused = errors(runtime(jobset=CLAIM), trainjob())
    assert list(unused) == ["spec.runtimeRef"]
    assert "volumeMount of 'data'" in unused["spec.runtimeRef"]
    assert errors(using, trainjob()) == {}
    assert errors(runtime(jobset=CLAIM), trainjob(runtimePatches=[patching])) == {}


def test_no_volume_has_the_name_of_a_claim():
    given = {"volumes": [{"name": "data", "emptyDir": {}}]}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pods = step(ancestor="trainer", containers=[container(**mount)])
    found = errors(runtime(steps=[step(pod=given)], jobset=CLAIM))
    assert "conflicts with the claim" in found[f"{POD}.volumes[0].name"]
    job = trainjob(runtimePatches=[patch(given)])
    (path,) = errors(runtime(steps=[pods], jobset=CLAIM), job)
    assert path.startswith("spec.runtimePatches[0].trainingRuntimeSpec")
    assert path.endswith(".volumes[0].name")


def test_the_coordinators_job_is_indexed():
    coordinator = {"coordinator": {"replicatedJob": "node"}}
    assert errors(runtime(jobset=coordinator)) == {}
    other = runtime(steps=[step(job={"completionMode": "NonIndexed"})], jobset=coordinator)
    assert list(errors(other)) == [f"{JOB}.template.spec.completionMode"]


def test_failure_rules_have_different_names():
    rule = {"name": "r", "action": "FailJobSet"}
    assert list(errors(runtime(jobset={"failurePolicy": {"rules": [rule, rule]}}))) == [
        f"{BASE}.failurePolicy.rules[1].name"
    ]


def _exits(**fields):
    rule = {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [1], **fields}}
    return {"podFailurePolicy": {"rules": [rule]}}


NEVER = {"restartPolicy": "Never"}


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        (step(pod={"restartPolicy": "Always"}), f"{POD}.restartPolicy", '"OnFailure", "Never"'),
        (step(job={"backoffLimit": -1}), f"{JOB}.template.spec.backoffLimit", "equal to 0"),
        (step(job={"completionMode": "Both"}), f"{JOB}.template.spec.completionMode", '"Indexed"'),
        (step(job=_exits()), f"{POD}.restartPolicy", "set restartPolicy: Never"),
        (step(job=_exits(values=[0]), pod=NEVER), f"{JOB}.template.spec.podFailurePolicy.rules[0].onExitCodes.values[0]", "success"),
        (step(job=_exits(operator="Is"), pod=NEVER), f"{JOB}.template.spec.podFailurePolicy.rules[0].onExitCodes.operator", '"NotIn"'),
        (step(job=_exits(values=[]), pod=NEVER), f"{JOB}.template.spec.podFailurePolicy.rules[0].onExitCodes.values", "one value"),
        (step(job={"podFailurePolicy": {"rules": [{"action": "Wait", "onPodConditions": [{"type": "X"}]}]}}, pod=NEVER), f"{JOB}.template.spec.podFailurePolicy.rules[0].action", "FailJob"),
        (step(job={"podFailurePolicy": {"rules": [{"action": "Ignore"}]}}, pod=NEVER), f"{JOB}.template.spec.podFailurePolicy.rules[0]", "one of"),
        (step(pod={"terminationGracePeriodSeconds": -1}), f"{POD}.terminationGracePeriodSeconds", "equal to 0"),
        (step(pod={"activeDeadlineSeconds": 0}), f"{POD}.activeDeadlineSeconds", "equal to 1"),
        (step(containers=[container("Node")]), f"{POD}.containers[0].name", "1123"),
        (step(pod={"initContainers": [container()]}), f"{POD}.containers[0].name", "Duplicate"),
        (step(containers=[container(imagePullPolicy="Sometimes")]), f"{POD}.containers[0].imagePullPolicy", '"IfNotPresent"'),
        (step(containers=[container(env=[{"name": "A=B"}])]), f"{POD}.containers[0].env[0].name", "without '='"),
        (step(containers=[container(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}])]), f"{POD}.containers[0].env[0].valueFrom", "may not be specified"),
        (step(containers=[container(env=[{"name": "A", "valueFrom": {}}])]), f"{POD}.containers[0].env[0].valueFrom", "exactly one"),
        (step(containers=[container(securityContext={"runAsUser": 2**32})]), f"{POD}.containers[0].securityContext.runAsUser", "2147483647"),
        (step(containers=[container(securityContext={"runAsGroup": -1})]), f"{POD}.containers[0].securityContext.runAsGroup", "between 0"),
        (step(pod={"securityContext": {"supplementalGroups": [1, 2**31]}}), f"{POD}.securityContext.supplementalGroups[1]", "2147483648"),
        (step(containers=[container(ports=[{"containerPort": 0}])]), f"{POD}.containers[0].ports[0].containerPort", "65535"),
        (step(containers=[container(ports=[{"containerPort": 1, "protocol": "HTTP"}])]), f"{POD}.containers[0].ports[0].protocol", '"UDP"'),
        (step(containers=[container(volumeMounts=[{"name": "v", "mountPath": "/x", "subPath": "../y"}])]), f"{POD}.containers[0].volumeMounts[0].subPath", "relative"),
        (step(containers=[container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "2"}})]), f"{POD}.containers[0].resources.requests.cpu", "cpu limit of 1"),
        (step(containers=[container(resources={"limits": {"nvidia.com/gpu": -1}})]), f"{POD}.containers[0].resources.limits[nvidia.com/gpu]", "equal to 0"),
        (step(pod={"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]}), f"{POD}.volumes[0]", "(it has emptyDir, hostPath)"),
        (step(pod={"volumes": [{"name": "V", "emptyDir": {}}]}), f"{POD}.volumes[0].name", "1123"),
    ],
)  # fmt: skip
def test_jobs_and_pods(given, path, said):
    found = errors(runtime(steps=[given]))
    assert list(found) == [path]
    assert said in found[path]


def test_a_pod_needs_containers():
    given = step()
    given["template"]["spec"]["template"]["spec"]["containers"] = []
    assert "at least one container" in errors(runtime(steps=[given]))[f"{POD}.containers"]


def test_a_replicated_job_needs_a_pod_template():
    assert list(errors(runtime(steps=[{"name": "node", "template": {}}]))) == [f"{JOB}.template.spec"]
    empty = {"name": "node", "template": {"spec": {"template": {}}}}
    assert list(errors(runtime(steps=[empty]))) == [f"{JOB}.template.spec.template.spec"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [({"labels": {"team": "a b"}}, "labels.team"), ({"annotations": {"a b": "x"}}, "annotations[a b]")],
)
def test_labels_and_annotations_of_templates(metadata, said):
    # Arrange
    given = step()
    given["template"]["metadata"] = metadata
    given["template"]["spec"]["template"]["metadata"] = metadata
    obj = runtime(steps=[given])
    obj["spec"]["template"]["metadata"] = metadata

    # Act and assert
    assert set(errors(obj)) == {
        f"spec.template.metadata.{said}",
        f"{JOB}.template.metadata.{said}",
        f"{JOB}.template.spec.template.metadata.{said}",
    }
