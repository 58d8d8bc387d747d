"""What a training needs to report its progress, as upstream's TrainJobStatus plugin injects it."""

from __future__ import annotations

from reconciler.plan import spec_hash
from reconciler.plan.plan_json import render_job
from reconciler.plan.progress_reporting import plan_without_reporting
from reconciler.plan.resolver import resolve_container
from tests.plan.manifests import container, env, full_plan_of, only, runtime, step, trainjob

PATH = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/team/trainjobs/demo/status"
FOLDER = "/var/run/secrets/kubeflow/trainer"


def two_steps() -> dict:
    return runtime(
        step("prep", container("prep"), role="dataset-initializer"),
        step("node", container(), container("helper"), pod={"initContainers": [container("setup")]}),
    )


def test_every_regular_container_of_the_trainer_and_no_other_gets_upstreams_variables() -> None:
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


def test_the_plan_shows_upstreams_volume_a_reference_for_the_address_and_no_secret() -> None:
    shown = render_job(full_plan_of(trainjob(namespace="team")))

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


def test_the_address_is_filled_in_where_it_is_known() -> None:
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


def test_the_users_own_variable_wins_and_stays_where_nobody_can_be_heard() -> None:
    own = [{"name": "KUBEFLOW_TRAINER_SERVER_URL", "value": "https://mine.example/status"}]
    plan = full_plan_of(trainjob({"env": own}))

    silent = plan_without_reporting(plan)

    assert env(only(plan))["KUBEFLOW_TRAINER_SERVER_URL"] == "https://mine.example/status"
    assert {k: v for k, v in env(only(silent)).items() if k.startswith("KUBEFLOW_")} == {
        "KUBEFLOW_TRAINER_SERVER_URL": "https://mine.example/status"
    }
    assert only(silent).mounts == ()
    assert silent.pods[0].volumes == ()


def test_whether_the_training_can_be_heard_makes_no_container_stale() -> None:
    plan = full_plan_of(trainjob())

    assert spec_hash(plan) == spec_hash(plan_without_reporting(plan))
