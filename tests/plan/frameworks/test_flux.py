"""Flux: wrapped command, brokers, installer, certificate."""

from __future__ import annotations

from typing import Any

from reconciler.plan.frameworks.required_secrets import required_secrets
from reconciler.plan.job_plan import JobPlan
from tests.plan.manifests import (
    container,
    plan_of,
    rendered,
    rendered_job,
    runtime,
    step,
    trainjob,
)


def flux(trainer: dict[str, Any], **node: Any) -> JobPlan:
    return plan_of(trainjob(trainer), runtime(step("node", container(**node)), policy={"flux": {}}))


def test_the_wrapped_command_keeps_its_quoting() -> None:
    plan = flux({"numNodes": 2, "command": ["python", "-c"], "args": ["print(1, 2)"]})

    got = rendered(plan, "demo-node-0")
    assert got["command"] == ["/bin/bash", "/etc/flux-config/entrypoint.sh", "python -c 'print(1, 2)'"]
    assert got["args"] is None
    assert "flux run -N 2 -n 2 $command" in rendered_job(plan)["files"]["node:/etc/flux-config/entrypoint.sh"]


def test_brokers_use_planned_addresses() -> None:
    broker = rendered_job(flux({"numNodes": 2}))["files"]["node:/etc/flux-config/broker.toml"]

    assert (
        '{ host = "demo-node-1", bind = "tcp://$(node-1.ip):8050", connect = "tcp://$(node-1.ip):8050" }'
        in broker
    )


def test_flux_is_installed_unless_the_image_has_it() -> None:
    with_view = flux({})
    without = flux({"env": [{"name": "FLUX_VIEW_IMAGE", "value": ""}]})

    assert [c.kind for c in with_view.step("node").pods[0].containers] == ["init", "main"]
    assert [c.kind for c in without.step("node").pods[0].containers] == ["main"]


def test_the_certificate_is_a_required_secret() -> None:
    (secret,) = required_secrets(flux({}))

    assert (secret.name, secret.kind) == ("demo-flux-curve", "curve-certificate")
