"""Containers and files with references and values filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from reconciler.errors import PlanError
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.expansion import reference_values
from reconciler.plan.job_plan import EnvFrom, FileSource, KeyRef, VolumePlan
from reconciler.plan.resolver import LookupValues, ResolvedContainer, resolve_container, resolve_files
from tests.plan.manifests import container, only, plan_of, runtime, step, trainjob

DATA: dict[tuple[str, str], Mapping[str, bytes | str]] = {
    ("Secret", "s"): {"token": b"top $(A)", "user": "me"},
    ("ConfigMap", "c"): {"LEVEL": "info", "no name": "x", "9": "y"},
}


def lookup(kind: str, name: str) -> Mapping[str, bytes | str] | None:
    return DATA.get((kind, name))


def resolve(
    nodes: int = 1, port: int | None = None, pod: dict[str, Any] | None = None, **node: Any
) -> ResolvedContainer:
    plan = plan_of(trainjob({"numNodes": nodes}), runtime(step("node", container(**node), pod=pod)))
    addresses = plan_addresses(plan, "10.0.0.0/24", "10.0.0.1")
    return resolve_container(
        plan, plan.pods[-1], only(plan, index=nodes - 1), addresses=addresses, lookup=lookup, port=port
    )


def variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def secret(name: str, key: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": key, **more}}}


def test_every_rank_has_the_address_of_rank_0() -> None:
    for nodes in (1, 3):
        env = resolve(nodes).env

        assert env["MASTER_ADDR"] == env["PET_MASTER_ADDR"] == "10.0.0.2"
        assert env["RANK"] == env["PET_NODE_RANK"] == str(nodes - 1)


def test_another_port_replaces_the_plans_everywhere() -> None:
    env = resolve(port=31000, args=["$(MASTER_ADDR):$(MASTER_PORT)"]).env

    assert (env["MASTER_PORT"], env["PET_MASTER_PORT"]) == ("31000", "31000")


def test_jobsets_restart_attempt_is_the_attempt() -> None:
    path = "metadata.labels['jobset.sigs.k8s.io/restart-attempt']"
    tries = {"name": "TRIES", "valueFrom": {"fieldRef": {"fieldPath": path}}}
    plan = plan_of(trainjob(), runtime(step("node", container(env=[tries]))))

    got = resolve_container(plan, plan.pods[0], only(plan), addresses={}, lookup=lookup, attempt=3)

    assert got.env["TRIES"] == "3"


def test_a_variable_may_refer_to_those_before_it_only() -> None:
    env = resolve(env=[variable("A", "$(B)"), variable("B", "b"), variable("C", "$(A)-$(B)")]).env

    assert (env["A"], env["C"]) == ("$(B)", "$(B)-b")


def test_commands_refer_to_variables_of_every_source() -> None:
    got = resolve(
        command=["run", "$(LEVEL)"],
        args=["$(T)", "$$(T)", "$(GONE)"],
        env=[secret("T", "user")],
        envFrom=[{"configMapRef": {"name": "c"}}],
    )

    assert got.command == ("run", "info")
    assert got.args == ("me", "$(T)", "$(GONE)")


def test_command_and_args_of_the_image_stay_unless_the_manifest_sets_them() -> None:
    got = resolve()

    assert (got.command, got.args) == (None, None)


def test_values_of_secrets_are_not_expanded_and_not_shown() -> None:
    got = resolve(
        env=[variable("A", "1"), secret("T", "token")], envFrom=[{"secretRef": {"name": "s"}, "prefix": "S_"}]
    )

    assert got.env["T"] == got.env["S_token"] == "top $(A)"
    assert "top" not in repr(got)


def test_env_wins_over_env_from() -> None:
    got = resolve(env=[variable("LEVEL", "debug")], envFrom=[{"configMapRef": {"name": "c"}}])

    assert got.env["LEVEL"] == "debug"


def test_keys_that_are_no_variable_names_are_skipped() -> None:
    env = resolve(envFrom=[{"configMapRef": {"name": "c"}}]).env

    assert "LEVEL" in env
    assert not {"no name", "9"} & env.keys()


def test_optional_references_may_be_missing() -> None:
    got = resolve(
        env=[secret("T", "gone", optional=True)],
        envFrom=[{"configMapRef": {"name": "gone", "optional": True}}],
    )

    assert "T" not in got.env


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"env": [secret("T", "gone")]}, "The Secret 's' has no key 'gone'"),
        ({"envFrom": [{"configMapRef": {"name": "gone"}}]}, "The ConfigMap 'gone' is not there"),
    ],
)
def test_a_missing_reference_names_the_container_and_the_key(node: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message) as missing:
        resolve(**node)

    assert "The container 'node' of demo-node-0 cannot start" in str(missing.value)
    assert missing.value.remedy
    assert "top" not in str(missing.value)


def test_a_sub_path_expression_is_expanded_and_kept_inside() -> None:
    pod = {"volumes": [{"name": "v", "emptyDir": {}}]}
    mounts = [{"name": "v", "mountPath": "/v", "subPathExpr": "run-$(RANK)"}]

    assert resolve(2, pod=pod, volumeMounts=mounts).mounts[0].sub_path == "run-1"
    with pytest.raises(PlanError, match="leads out of the volume"):
        resolve(pod=pod, volumeMounts=mounts, env=[variable("RANK", "/../../x")])


class TestFiles:
    references = reference_values({("node", 0): "10.0.0.2"}, 29500)

    def files(self, **fields: Any) -> dict[str, tuple[bytes, int]]:
        return resolve_files(
            VolumePlan(name="v", kind="files", **fields),
            references=self.references,
            values=LookupValues(lookup),
        )

    def test_content_has_references_expanded_and_a_mode(self) -> None:
        files = (FileSource(path="hostfile", content="$(node-0.ip) $(A)", mode=0o444), FileSource(path="x"))

        assert self.files(files=files) == {"hostfile": (b"10.0.0.2 $(A)", 0o444), "x": (b"", 0o644)}

    def test_keys_become_files(self) -> None:
        ref = KeyRef(kind="Secret", name="s", key="user")

        got = self.files(
            files=(FileSource(path="d/me", ref=ref),),
            all_keys_of=(EnvFrom(kind="Secret", name="s"),),
            default_mode=0o400,
        )

        assert got == {"token": (b"top $(A)", 0o400), "user": (b"me", 0o400), "d/me": (b"me", 0o400)}

    def test_a_key_that_is_no_file_name_is_an_error(self) -> None:
        with pytest.raises(PlanError, match="The key 'no name' of the ConfigMap 'c' cannot be a file's name"):
            self.files(all_keys_of=(EnvFrom(kind="ConfigMap", name="c"),))

    def test_a_missing_secret_is_an_error_unless_it_is_optional(self) -> None:
        ref = KeyRef(kind="Secret", name="gone", key="k")

        with pytest.raises(PlanError, match="The Secret 'gone' is not there"):
            self.files(files=(FileSource(path="x", ref=ref),))
        assert self.files(all_keys_of=(EnvFrom(kind="Secret", name="gone", optional=True),)) == {}
