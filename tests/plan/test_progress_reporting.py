"""What a training needs to report its progress, as upstream's TrainJobStatus plugin injects it."""

from __future__ import annotations

from reconciler.plan.progress_reporting import remove_reporting
from reconciler.plan.resolver import resolve_container
from tests.plan.manifests import container, env, full_plan_of, only, rendered_job, runtime, step, trainjob

PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/demo/status"
FOLDER = "/var/run/secrets/kubeflow/trainer"


def two_steps() -> dict:
    return runtime(
        step("prep", container("prep"), role="dataset-initializer"),
        step("node", container(), container("helper"), pod={"initContainers": [container("setup")]}),
    )


def test_every_regular_container_of_the_trainer_gets_upstreams_variables() -> None:
    plan = full_plan_of(trainjob(namespace="team"), two_steps())

    for name in ("node", "helper"):
        found = env(only(plan, name=name))
        assert found["KUBEFLOW_TRAINER_SERVER_URL"] == f"https://$(progress.address){PATH}"
        assert found["KUBEFLOW_TRAINER_SERVER_CA_CERT"] == f"{FOLDER}/ca.crt"
        assert found["KUBEFLOW_TRAINER_SERVER_TOKEN"] == f"{FOLDER}/token"
        assert [(m.path, m.read_only) for m in only(plan, name=name).mounts] == [(FOLDER, True)]
    for place in ({"step_name": "prep", "name": "prep"}, {"name": "setup"}):
        assert not any(v.name.startswith("KUBEFLOW_") for v in only(plan, **place).env)
    assert not plan.warnings


def test_the_rendered_plan_has_upstreams_volume_an_address_reference_and_no_secret() -> None:
    shown = rendered_job(full_plan_of(trainjob(namespace="team")))

    (node,) = shown["containers"]
    assert node["env"]["KUBEFLOW_TRAINER_SERVER_URL"] == f"https://$(progress.address){PATH}"
    assert shown["files"] == {
        f"node:{FOLDER}/ca.crt": "<ConfigMap demo-tls-config/ca.crt>",
        f"node:{FOLDER}/token": "****",
    }
    (volume,) = shown["volumes"]
    assert volume["projected"]["sources"] == [
        {
            "serviceAccountToken": {
                "audience": PATH.removeprefix("/apis/"),
                "expirationSeconds": 3600,
                "path": "token",
            }
        },
        {"configMap": {"name": "demo-tls-config", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def test_the_progress_address_is_resolved() -> None:
    plan = full_plan_of(trainjob(namespace="team"))

    resolved = resolve_container(
        plan,
        plan.pods[0],
        only(plan),
        addresses={("node", 0): "10.0.0.2"},
        lookup=lambda _kind, _name: None,
        progress="10.0.0.1:20123",
    )

    assert resolved.env["KUBEFLOW_TRAINER_SERVER_URL"] == f"https://10.0.0.1:20123{PATH}"


def test_the_jobs_own_variable_wins_and_stays_when_reporting_is_removed() -> None:
    own = [{"name": "KUBEFLOW_TRAINER_SERVER_URL", "value": "https://mine.example/status"}]
    plan = full_plan_of(trainjob({"env": own}))

    removed = remove_reporting(plan)

    assert env(only(plan))["KUBEFLOW_TRAINER_SERVER_URL"] == "https://mine.example/status"
    assert {k: v for k, v in env(only(removed)).items() if k.startswith("KUBEFLOW_")} == {
        "KUBEFLOW_TRAINER_SERVER_URL": "https://mine.example/status"
    }
    assert only(removed).mounts == ()
    assert removed.pods[0].volumes == ()
