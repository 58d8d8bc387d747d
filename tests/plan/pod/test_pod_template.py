"""Pods: names, labels, volumes, security, probes, the downward API."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.errors import PlanError
from reconciler.plan import render_job
from reconciler.plan.job_plan import EnvFrom, EnvVar, FileSource, HostEntry, KeyRef, VolumePlan
from tests.plan.manifests import container, env, only, plan_of, runtime, step, trainjob


def with_pod(**pod: Any) -> dict[str, Any]:
    return runtime(step("node", container(), pod=pod))


def with_node(**fields: Any) -> dict[str, Any]:
    return runtime(step("node", container(**fields)))


def volume(source: dict[str, Any], *, mounted: bool = False) -> VolumePlan:
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]} if mounted else {}
    blueprint = runtime(step("node", container(**mounts), pod={"volumes": [{"name": "v", **source}]}))
    (planned,) = plan_of(trainjob(), blueprint).step("node").pods[0].volumes
    return planned


class TestNames:
    def test_nodes_are_named_by_rank_other_steps_by_index_where_they_have_several(self) -> None:
        blueprint = runtime(
            step("one", container("one")),
            step("many", container("many"), job={"parallelism": 2}),
            step("node"),
        )

        plan = plan_of(trainjob(), blueprint)

        assert [i.name for i in plan.pods] == ["demo-node-0", "demo-one", "demo-many-0", "demo-many-1"]
        assert plan.network == "demo-net"

    def test_a_namespace_prefixes_names_on_the_engine_but_not_host_names_labels(self) -> None:
        plan = plan_of(trainjob(namespace="team"))

        instance = plan.pods[0]
        assert (plan.network, instance.name, instance.hostname) == (
            "team.demo-net",
            "team.demo-node-0",
            "team-demo-node-0",
        )

    def test_a_long_job_name_shortens_the_host_name_only(self) -> None:
        plan = plan_of(trainjob(name="j" * 63))

        instance = plan.pods[0]
        assert instance.name == "j" * 63 + "-node-0"
        assert len(instance.hostname) == 63
        assert instance.hostname.endswith("-0")

    def test_every_instance_is_known_by_its_names_on_a_cluster(self) -> None:
        plan = plan_of(trainjob({"numNodes": 2}))

        assert plan.hosts[1] == HostEntry(
            address="$(node-1.ip)",
            names=(
                "demo-node-1",
                "demo-node-0-1",
                "demo-node-0-1.demo",
                "demo-node-0-1.demo.default.svc.cluster.local",
            ),
        )

    def test_a_subdomain_of_the_jobset_is_used(self) -> None:
        plan = plan_of(trainjob(), runtime(jobset={"network": {"subdomain": "sub"}}))

        assert "demo-node-0-0.sub" in plan.hosts[0].names
        assert "demo-node-0-0.sub" in plan.pods[0].aliases

    def test_replicas_of_an_unlabelled_job_are_jobs_of_their_own(self) -> None:
        blueprint = runtime(step("ps", container("ps"), replicas=2, job={"parallelism": 2}), step("node"))

        instances = plan_of(trainjob(), blueprint).step("ps").pods

        assert [i.name for i in instances] == ["demo-ps-0", "demo-ps-1", "demo-ps-2", "demo-ps-3"]
        assert [i.labels["jobset.sigs.k8s.io/job-index"] for i in instances] == ["0", "0", "1", "1"]
        assert instances[3].aliases[0] == "demo-ps-1-1"

    def test_jobs_of_a_group_are_counted_together(self) -> None:
        keys = [f"jobset.sigs.k8s.io/{key}" for key in ("group-name", "group-replicas", "job-group-index")]
        told = [
            {"name": f"G{n}", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{key}']"}}}
            for n, key in enumerate(keys)
        ]
        blueprint = runtime(
            step("ps", container("ps", env=told), groupName="core", replicas=2),
            step("web", container("web", env=told)),
            step("node", container(env=told), groupName="core"),
        )

        plan = plan_of(trainjob(), blueprint)

        groups = {i.name: [env(i.containers[0])[f"G{n}"] for n in range(3)] for i in plan.pods}
        assert groups == {
            "demo-ps-0": ["core", "3", "0"],
            "demo-ps-1": ["core", "3", "1"],
            "demo-web": ["default", "1", "0"],
            "demo-node-0": ["core", "3", "2"],
        }
        labels = {i.name: [i.labels.get(key) for key in keys] for i in plan.pods}
        assert labels == {**groups, "demo-web": [None] * 3}

    def test_the_container_called_node_carries_the_instances_name(self) -> None:
        plan = plan_of(trainjob(), runtime(step("node", container("side"), container())))

        assert [(c.name, c.primary) for c in plan.pods[0].containers] == [
            ("demo-node-0-side", False),
            ("demo-node-0", True),
        ]

    def test_two_containers_of_one_name_are_refused(self) -> None:
        blueprint = runtime(
            step("a", container("a"), container("b")), step("a-b", container("x")), step("node")
        )

        with pytest.raises(PlanError, match="would both be the container 'demo-a-b'"):
            plan_of(trainjob(), blueprint)

    def test_a_runtime_without_jobs_is_refused(self) -> None:
        blueprint = runtime()
        blueprint["spec"]["template"]["spec"]["replicatedJobs"] = []

        with pytest.raises(PlanError, match="has no replicated jobs"):
            plan_of(trainjob(), blueprint)


class TestKinds:
    def test_init_containers_come_first_and_one_that_always_restarts_is_a_sidecar(self) -> None:
        pod = {"initContainers": [container("prep"), container("proxy", restartPolicy="Always")]}

        plan = plan_of(trainjob(), runtime(step("node", container(), pod=pod)))

        assert [(c.container, c.kind) for c in plan.pods[0].containers] == [
            ("prep", "init"),
            ("proxy", "sidecar"),
            ("node", "main"),
        ]


class TestVolumes:
    def test_an_empty_folder_is_scratch_space(self) -> None:
        assert volume({"emptyDir": {"sizeLimit": "1Gi"}}).kind == "scratch"

    def test_memory_has_its_limit_in_bytes(self) -> None:
        planned = volume({"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}})

        assert (planned.kind, planned.size) == ("memory", 64 * 2**20)

    def test_a_host_path_keeps_its_type(self) -> None:
        with pytest.raises(PlanError, match="type 'directory', which there is not"):
            volume({"hostPath": {"path": "/srv", "type": "directory"}})
        planned = volume({"hostPath": {"path": "/srv", "type": "DirectoryOrCreate"}})

        assert (planned.kind, planned.source, planned.host_type) == ("host", "/srv", "DirectoryOrCreate")

    def test_a_claim_is_a_volume_of_the_engine_that_stays(self) -> None:
        planned = volume({"persistentVolumeClaim": {"claimName": "data"}})

        assert (planned.kind, planned.source, planned.retain) == ("named", "data", True)

    def test_a_config_map_is_files_of_all_its_keys_or_of_those_listed(self) -> None:
        whole = volume({"configMap": {"name": "c", "defaultMode": 0o400, "optional": True}})
        some = volume({"configMap": {"name": "c", "items": [{"key": "k", "path": "d/k", "mode": 0o600}]}})

        assert (whole.all_of, whole.default_mode) == (
            (EnvFrom(kind="ConfigMap", name="c", optional=True),),
            0o400,
        )
        assert some.files == (
            FileSource(path="d/k", ref=KeyRef(kind="ConfigMap", name="c", key="k"), mode=0o600),
        )

    def test_projected_sources_are_all_files_of_one_volume(self) -> None:
        sources = [
            {"secret": {"name": "s"}},
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "k"}]}},
            {"downwardAPI": {"items": [{"path": "ip", "fieldRef": {"fieldPath": "status.podIP"}}]}},
        ]

        planned = volume({"projected": {"sources": sources}})

        assert planned.all_of == (EnvFrom(kind="Secret", name="s"),)
        assert [f.path for f in planned.files] == ["k", "ip"]
        assert planned.files[1].content == "$(node-0.ip)"

    def test_storage_of_a_cluster_is_an_empty_folder_and_said(self) -> None:
        blueprint = with_pod(volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}])

        plan = plan_of(trainjob(), blueprint)

        assert plan.pods[0].volumes[0].kind == "scratch"
        assert [path for path, _ in plan.warnings] == [
            "spec.template.spec.replicatedJobs[0].template.spec.template.spec.volumes[0].nfs"
        ]

    def test_claims_of_the_job_itself_are_given_to_pods_that_mount_them(self) -> None:
        mounts = [{"name": "work", "mountPath": "/work"}]
        policies = [{"templates": [{"metadata": {"name": "work"}, "spec": {}}]}]
        blueprint = runtime(
            step("prep", container("prep", volumeMounts=mounts)),
            step("other", container("other")),
            step("node", container(volumeMounts=mounts)),
            jobset={"volumeClaimPolicies": policies},
        )

        plan = plan_of(trainjob(), blueprint)

        assert [v.source for i in plan.pods for v in i.volumes] == ["demo-work", "demo-work"]
        assert plan.step("other").pods[0].volumes == ()
        assert not plan.step("node").pods[0].volumes[0].retain

    def test_such_a_claim_is_kept_where_the_policy_says_so(self) -> None:
        policy = {"templates": [{"metadata": {"name": "work"}}], "retentionPolicy": {"whenDeleted": "Retain"}}
        node = container(volumeMounts=[{"name": "work", "mountPath": "/work"}])

        plan = plan_of(
            trainjob(namespace="team"), runtime(step("node", node), jobset={"volumeClaimPolicies": [policy]})
        )

        (kept,) = plan.pods[0].volumes
        assert (kept.source, kept.retain) == ("team.demo-work", True)

    def test_a_mount_of_nothing_is_refused(self) -> None:
        with pytest.raises(PlanError, match="mounts the volume 'gone', which its pod does not have"):
            plan_of(trainjob(), with_node(volumeMounts=[{"name": "gone", "mountPath": "/x"}]))

    def test_two_mounts_at_one_place_are_refused(self) -> None:
        mounts = [{"name": "a", "mountPath": "/x"}, {"name": "b", "mountPath": "/x/"}]
        volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]

        with pytest.raises(PlanError, match="mounts two volumes at /x"):
            plan_of(
                trainjob(), runtime(step("node", container(volumeMounts=mounts), pod={"volumes": volumes}))
            )

    @pytest.mark.parametrize(
        "source",
        [
            {"configMap": {"name": "c", "items": [{"key": "k", "path": "../../etc/x"}]}},
            {"secret": {"secretName": "s", "items": [{"key": "k", "path": "/etc/x"}]}},
            {"downwardAPI": {"items": [{"path": "a/../../x", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            {"hostPath": {"path": "/srv/../etc"}},
        ],
    )
    def test_no_path_leads_out_of_its_volume(self, source: dict[str, Any]) -> None:
        with pytest.raises(PlanError, match="leads out of the volume"):
            volume(source)

    def test_no_sub_path_leads_out_of_its_volume(self) -> None:
        mounts = [{"name": "v", "mountPath": "/v", "subPath": "../x"}]
        blueprint = runtime(
            step("node", container(volumeMounts=mounts), pod={"volumes": [{"name": "v", "emptyDir": {}}]})
        )

        with pytest.raises(PlanError, match="the mount at /v leads out"):
            plan_of(trainjob(), blueprint)

    def test_a_read_only_claim_makes_its_mounts_so(self) -> None:
        claim = {"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}}
        node = container(volumeMounts=[{"name": "v", "mountPath": "/v"}])

        plan = plan_of(trainjob(), runtime(step("node", node, pod={"volumes": [claim]})))

        assert only(plan).mounts[0].read_only


class TestResources:
    def test_the_jobs_are_laid_over_the_runtimes_key_by_key(self) -> None:
        blueprint = with_node(resources={"requests": {"cpu": "1", "memory": "4Gi"}})

        plan = plan_of(
            trainjob({"resourcesPerNode": {"limits": {"cpu": "1500m", "amd.com/gpu": 2}}}), blueprint
        )

        got = only(plan).resources
        assert (got.cpu_request, got.cpu_limit, got.memory_request, got.memory_limit) == (
            1,
            1.5,
            4 * 2**30,
            None,
        )
        assert got.devices == {"amd.com/gpu": 2}

    def test_a_limit_stands_for_a_request_that_is_not_there(self) -> None:
        got = only(
            plan_of(trainjob({"resourcesPerNode": {"limits": {"cpu": "2", "memory": "1Gi"}}}))
        ).resources

        assert (got.cpu_request, got.memory_request) == (2, 2**30)

    def test_hugepages_and_disk_space_are_no_devices(self) -> None:
        limits = {"hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi", "nvidia.com/mig-1g.5gb": 1}

        assert only(plan_of(trainjob({"resourcesPerNode": {"limits": limits}}))).resources.devices == {
            "nvidia.com/mig-1g.5gb": 1
        }


class TestSecurity:
    def test_the_containers_context_is_laid_over_the_pods(self) -> None:
        pod = {"securityContext": {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}}
        node = container(
            securityContext={"runAsUser": 9, "capabilities": {"add": ["SYS_PTRACE"], "drop": ["ALL"]}}
        )

        got = only(plan_of(trainjob(), runtime(step("node", node, pod=pod)))).security

        assert (got.run_as_user, got.run_as_group, got.fs_group, got.supplemental_groups) == (9, 2, 3, (4,))
        assert (got.cap_add, got.cap_drop) == (("SYS_PTRACE",), ("ALL",))

    @pytest.mark.parametrize(
        ("profile", "planned"),
        [
            ({"type": "RuntimeDefault"}, ""),
            ({"type": "Unconfined"}, "unconfined"),
            ({"type": "Localhost", "localhostProfile": "mine.json"}, "mine.json"),
        ],
    )
    def test_profiles(self, profile: dict[str, Any], planned: str) -> None:
        got = only(plan_of(trainjob(), with_node(securityContext={"seccompProfile": profile}))).security

        assert got.seccomp == planned


class TestProbes:
    def test_a_named_port_is_looked_up_and_defaults_are_kubernetes(self) -> None:
        node = {
            "ports": [{"name": "ssh", "containerPort": 2222}],
            "readinessProbe": {"tcpSocket": {"port": "ssh"}},
        }

        probe = only(plan_of(trainjob(), with_node(**node))).readiness

        assert probe is not None
        assert (probe.tcp_port, probe.period, probe.timeout, probe.failure_threshold) == (2222, 10, 1, 3)

    def test_an_unknown_port_is_refused(self) -> None:
        with pytest.raises(PlanError, match="names the port 'ssh', which it does not declare"):
            plan_of(trainjob(), with_node(readinessProbe={"tcpSocket": {"port": "ssh"}}))

    def test_liveness_probes_and_start_hooks_are_said_to_do_nothing(self) -> None:
        node = {
            "livenessProbe": {"exec": {"command": ["true"]}},
            "lifecycle": {
                "postStart": {"exec": {"command": ["true"]}},
                "preStop": {"exec": {"command": ["bye"]}},
            },
        }

        plan = plan_of(trainjob({"numNodes": 2}), with_node(**node))

        assert only(plan).pre_stop == ("bye",)
        assert sorted(path.rpartition("containers[0].")[2] for path, _ in plan.warnings) == [
            "lifecycle.postStart",
            "livenessProbe",
        ]


class TestDownwardApi:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("metadata.name", "demo-node-1"),
            ("metadata.namespace", "default"),
            ("metadata.uid", "u-1"),
            ("metadata.labels['app']", "mine"),
            ("metadata.labels['gone']", ""),
            ("metadata.labels['jobset.sigs.k8s.io/replicatedjob-name']", "node"),
            ("metadata.labels['batch.kubernetes.io/job-name']", "demo-node-0"),
            ("metadata.annotations['batch.kubernetes.io/job-completion-index']", "1"),
            ("metadata.annotations['note']", "cost: $5 $(A)"),
            ("spec.nodeName", "localhost"),
            ("spec.serviceAccountName", "default"),
            ("status.podIP", "$(node-1.ip)"),
            ("status.hostIP", "$(host.ip)"),
            ("metadata.annotations['jobset.sigs.k8s.io/restart-attempt']", "0"),
        ],
    )
    def test_fields(self, path: str, value: str) -> None:
        variables = [
            {"name": "A", "value": "a"},
            {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}},
        ]
        metadata = {"labels": {"app": "mine"}, "annotations": {"note": "cost: $5 $(A)"}}
        blueprint = runtime(step("node", container(env=variables), pod_metadata=metadata))

        shown = render_job(plan_of(trainjob({"numNodes": 2}), blueprint))["containers"][1]

        assert shown["env"]["X"] == value

    @pytest.mark.parametrize(
        ("ref", "value"),
        [
            ({"resource": "limits.cpu"}, "2"),
            ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
            ({"resource": "requests.memory", "divisor": "1Mi"}, "512"),
            ({"resource": "limits.cpu", "containerName": "side"}, "3"),
        ],
    )
    def test_resources(self, ref: dict[str, str], value: str) -> None:
        variables = [{"name": "X", "valueFrom": {"resourceFieldRef": ref}}]
        node = container(env=variables, resources={"limits": {"cpu": "1500m", "memory": "512Mi"}})
        blueprint = runtime(step("node", node, container("side", resources={"limits": {"cpu": "3"}})))

        assert env(only(plan_of(trainjob(), blueprint)))["X"] == value

    def test_a_limit_that_is_not_set_is_warned_of(self) -> None:
        variables = [{"name": "X", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]

        plan = plan_of(trainjob({"numNodes": 3}), with_node(env=variables))

        assert env(only(plan))["X"] == "0"
        assert len(plan.warnings) == 1

    def test_all_labels_are_a_file_of_lines(self) -> None:
        item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
        pod = {"volumes": [{"name": "v", "downwardAPI": {"items": [item]}}]}
        blueprint = runtime(step("node", container(), pod=pod, pod_metadata={"labels": {"a": 'x"y'}}))

        (planned,) = plan_of(trainjob(), blueprint).pods[0].volumes

        assert planned.files[0].content.splitlines()[0] == 'a="x\\"y"'


class TestEnvironment:
    def test_references_to_secrets_and_config_maps_stay_references(self) -> None:
        variables = [
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        ]
        sources = [
            {"secretRef": {"name": "s"}, "prefix": "P_"},
            {"configMapRef": {"name": "c", "optional": True}},
        ]

        got = only(plan_of(trainjob(), with_node(env=variables, envFrom=sources)))

        assert EnvVar(name="S", ref=KeyRef(kind="Secret", name="s", key="k", optional=True)) in got.env
        assert EnvVar(name="C", ref=KeyRef(kind="ConfigMap", name="c", key="k")) in got.env
        assert got.env_from == (
            EnvFrom(kind="Secret", name="s", prefix="P_"),
            EnvFrom(kind="ConfigMap", name="c", optional=True),
        )

    def test_initializers_get_storage_environment_and_credentials(self) -> None:
        fetch = container("model-initializer", env=[{"name": "STORAGE_URI", "value": "hf://old"}])
        blueprint = runtime(step("model-initializer", fetch, role="model-initializer"), step("node"))
        section = {
            "storageUri": "hf://new",
            "env": [{"name": "STORAGE_URI", "value": "hf://mine"}, {"name": "A", "value": "1"}],
            "secretRef": {"name": "hf"},
        }

        got = only(
            plan_of(trainjob(initializer={"model": section}), blueprint),
            "model-initializer",
            "model-initializer",
        )

        assert (env(got)["STORAGE_URI"], env(got)["A"]) == ("hf://mine", "1")
        assert got.env_from == (EnvFrom(kind="Secret", name="hf"),)


class TestPodFields:
    def test_host_dns_and_the_rest_are_carried(self) -> None:
        pod = {
            "hostAliases": [{"ip": "10.1.1.1", "hostnames": ["db", "db.local"]}],
            "hostPID": True,
            "hostIPC": True,
            "shareProcessNamespace": True,
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": ["1.1.1.1"],
                "searches": ["corp"],
                "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
            },
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": "reg"}],
        }

        got = plan_of(trainjob(), with_pod(**pod)).pods[0]

        assert got.host_aliases == (HostEntry(address="10.1.1.1", names=("db", "db.local")),)
        assert (got.host_pid, got.host_ipc, got.share_process_namespace, got.host_network) == (
            True,
            True,
            True,
            False,
        )
        assert (got.dns_servers, got.dns_searches, got.dns_options) == (
            ("1.1.1.1",),
            ("corp",),
            ("ndots:2", "rotate"),
        )
        assert (got.dns_policy, got.termination_grace, got.pull_secrets) == ("None", 0, ("reg",))

    def test_own_annotations_of_the_trainjob_are_the_jobs(self) -> None:
        own = "reconciler.trainer.kubeflow.org/restart-scope"

        plan = plan_of(trainjob(annotations={own: "gang", "other": "x"}))

        assert plan.annotations == {own: "gang"}


class TestOmissions:
    @pytest.mark.parametrize(
        ("pod", "node", "field"),
        [
            ({"runtimeClassName": "gvisor"}, {}, "runtimeClassName"),
            ({"hostUsers": False}, {}, "hostUsers"),
            ({"subdomain": "x"}, {}, "subdomain"),
            (
                {},
                {
                    "restartPolicyRules": [
                        {"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}
                    ]
                },
                "restartPolicyRules",
            ),
            ({}, {"lifecycle": {"preStop": {"httpGet": {"port": 1}}}}, "lifecycle.preStop.httpGet"),
            ({}, {"securityContext": {"procMount": "Unmasked"}}, "procMount"),
            ({}, {"image": ""}, "image"),
            ({}, {"startupProbe": {"exec": {"command": ["true"]}}}, "startupProbe"),
            (
                {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]},
                {},
                "volumes[0].emptyDir.sizeLimit",
            ),
            (
                {},
                {"resources": {"limits": {"ephemeral-storage": "1Gi"}}},
                "resources.limits[ephemeral-storage]",
            ),
        ],
    )
    def test_what_is_not_done_is_said_once(
        self, pod: dict[str, Any], node: dict[str, Any], field: str
    ) -> None:
        plan = plan_of(trainjob({"numNodes": 3}), runtime(step("node", container(**node), pod=pod)))

        assert [path.endswith(field) for path, _ in plan.warnings] == [True]

    def test_what_happens_anyway_is_not(self) -> None:
        memory = {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
        pod = {"hostUsers": True, "volumes": [{"name": "v", "emptyDir": {}}, memory]}
        mounts = [{"name": "v", "mountPath": "/v", "mountPropagation": "None"}]
        node = container(volumeMounts=mounts, stdinOnce=False, securityContext={"procMount": "Default"})

        plan = plan_of(trainjob(), runtime(step("node", node, pod=pod, job={"completionMode": "Indexed"})))

        assert plan.warnings == ()

    def test_root_that_must_not_be_is_refused(self) -> None:
        context = {"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}

        with pytest.raises(PlanError, match="runAsNonRoot: true and runAsUser: 0"):
            plan_of(trainjob(), with_node(**context))
