"""Placement of pods on the nodes of a cluster: validated, and without effect on one host.

:mod:`reconciler.api.validation.unsupported_fields` warns of their use, so that nothing is ignored silently.
"""

from __future__ import annotations

from reconciler.api.models.base import Int32, Int64, Model
from reconciler.api.models.metadata import LabelSelector


class NodeSelectorRequirement(Model):
    """One node condition."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class NodeSelectorTerm(Model):
    """Node conditions that must all hold."""

    match_expressions: tuple[NodeSelectorRequirement, ...] = ()
    match_fields: tuple[NodeSelectorRequirement, ...] = ()


class PreferredSchedulingTerm(Model):
    """A weighted node preference."""

    preference: NodeSelectorTerm
    weight: Int32


class NodeSelector(Model):
    """Alternatives of node conditions."""

    node_selector_terms: tuple[NodeSelectorTerm, ...]


class NodeAffinity(Model):
    """Nodes that pods prefer or require."""

    preferred_during_scheduling_ignored_during_execution: tuple[PreferredSchedulingTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: NodeSelector | None = None


class PodAffinityTerm(Model):
    """Pods, and the topology domain to share with them."""

    topology_key: str
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()


class WeightedPodAffinityTerm(Model):
    """A weighted pod preference."""

    pod_affinity_term: PodAffinityTerm
    weight: Int32


class PodAffinity(Model):
    """Pods that pods prefer or require to be near, or away from."""

    preferred_during_scheduling_ignored_during_execution: tuple[WeightedPodAffinityTerm, ...] = ()
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class Affinity(Model):
    """Placement that pods prefer or require; no effect on one host."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class PodReadinessGate(Model):
    """A further condition of readiness, set by a controller."""

    condition_type: str


class PodResourceClaim(Model):
    """A dynamic resource claim of the pod."""

    name: str
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSchedulingGate(Model):
    """A gate that blocks scheduling until a controller removes it; no effect on one host."""

    name: str


class PodSchedulingGroup(Model):
    """The group with which a pod is scheduled."""

    pod_group_name: str | None = None


class Toleration(Model):
    """A taint that pods tolerate; no effect on one host."""

    effect: str | None = None
    key: str | None = None
    operator: str | None = None
    toleration_seconds: Int64 | None = None
    value: str | None = None


class TopologySpreadConstraint(Model):
    """How pods spread over a cluster; no effect on one host."""

    max_skew: Int32
    topology_key: str
    when_unsatisfiable: str
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    min_domains: Int32 | None = None
    node_affinity_policy: str | None = None
    node_taints_policy: str | None = None
