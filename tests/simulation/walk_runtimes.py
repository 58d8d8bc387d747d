"""The runtimes that the random walk's jobs use: each rule of the controller is needed by one of them."""

from __future__ import annotations

from typing import Any

from tests.simulation.manifests import IMAGE, runtime, step

OTHER_IMAGE = "example.test/other:1"
_GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
_SCRATCH = {
    "pod": {"volumes": [{"name": "scratch", "emptyDir": {}}]},
    "container": {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
}
_POD = {
    "initContainers": [
        {"name": "fetch", "image": IMAGE},
        {"name": "proxy", "image": IMAGE, "restartPolicy": "Always"},
        {"name": "check", "image": IMAGE},
    ],
    "containers": [{"name": "node", "image": IMAGE}, {"name": "helper", "image": IMAGE}],
}
_PAIR = {"containers": [{"name": "node", "image": IMAGE}, {"name": "helper", "image": IMAGE}]}
_EXIT_RULES = {
    "podFailurePolicy": {
        "rules": [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
            {"action": "Count", "onExitCodes": {"operator": "In", "values": [137]}},
        ]
    }
}
_READY = {"readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": 2, "periodSeconds": 1}}

RUNTIMES: tuple[dict[str, Any], ...] = (
    runtime("plain", step("node"), nodes=2),
    runtime("gang", step("node"), nodes=3, failurePolicy={"maxRestarts": 2}),
    runtime("retried", step("node", backoff=2, **_SCRATCH), nodes=2),
    runtime("both", step("node", backoff=1), nodes=2, failurePolicy={"maxRestarts": 1}),
    runtime(
        "prepared",
        step("prepare", backoff=1),
        step("node", after=[("prepare", "Complete")]),
        nodes=2,
        failurePolicy={"maxRestarts": 1},
    ),
    runtime(
        "served",
        step("server", container=_READY, count=2),
        step("node", after=[("server", "Ready")]),
        successPolicy={"operator": "All", "targetReplicatedJobs": ["node"]},
    ),
    runtime(
        "either",
        step("node"),
        step("extra"),
        nodes=1,
        successPolicy={"operator": "Any", "targetReplicatedJobs": ["node", "extra"]},
    ),
    runtime("pods", step("node", backoff=2, pod=_POD), nodes=2),
    runtime("pairs", step("node", backoff=3, pod=_PAIR), nodes=2),
    runtime(
        "never",
        step("node", backoff=2, restart_policy="Never", job=_EXIT_RULES),
        nodes=2,
        failurePolicy={
            "maxRestarts": 1,
            "rules": [{"name": "stop", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}],
        },
    ),
    runtime("devices", step("node", backoff=1, container=_GPU), nodes=2, failurePolicy={"maxRestarts": 1}),
    runtime("pulled", step("node", image=OTHER_IMAGE), nodes=2),
    runtime("ordered", step("first"), step("node"), nodes=2, startupPolicy={"startupPolicyOrder": "InOrder"}),
    runtime(
        "limited",
        step("node", backoff=1, job={"activeDeadlineSeconds": 40}),
        nodes=2,
        ttlSecondsAfterFinished=30,
    ),
)
