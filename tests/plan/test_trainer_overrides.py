"""The job's own sections over the runtime."""

from __future__ import annotations

from reconciler.plan.job_plan import EnvFrom
from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    runtime,
    step,
    trainjob,
)


def test_initializers_get_storage_environment_and_credentials() -> None:
    fetch = container("model-initializer", env=[{"name": "STORAGE_URI", "value": "hf://old"}])
    runtime_manifest = runtime(step("model-initializer", fetch, role="model-initializer"), step("node"))
    section = {
        "storageUri": "hf://new",
        "env": [{"name": "STORAGE_URI", "value": "hf://mine"}, {"name": "A", "value": "1"}],
        "secretRef": {"name": "hf"},
    }

    got = only(
        plan_of(trainjob(initializer={"model": section}), runtime_manifest),
        "model-initializer",
        "model-initializer",
    )

    assert (env(got)["STORAGE_URI"], env(got)["A"]) == ("hf://mine", "1")
    assert got.env_from == (EnvFrom(kind="Secret", name="hf"),)
