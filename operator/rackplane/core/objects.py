"""The few fields of Kubernetes objects that decisions need.

They are decoded straight from an API server's JSON: what is not named here is never built, which is what makes a
cache of many thousand pods cheap. Field names follow the API.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "Condition",
    "Container",
    "Gang",
    "GangAssignment",
    "GangDecision",
    "GangSpec",
    "GangStatus",
    "GangTopology",
    "Job",
    "JobSpec",
    "JobStatus",
    "LabelSelector",
    "Metadata",
    "Node",
    "OwnerReference",
    "Pod",
    "PodAffinityTerm",
    "PodSpec",
    "RequiredNodeAffinity",
    "SpreadConstraint",
    "State",
    "Taint",
    "Toleration",
]


class _Object(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    pass


class OwnerReference(_Object, frozen=True):
    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    controller: bool = False


class Metadata(_Object, frozen=True):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[OwnerReference] = []


class Condition(_Object, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None
    observed_generation: int | None = None


class State(_Object, frozen=True):
    """A condition of a pod or a node: of the time and the words nothing is read."""

    type: str = ""
    status: str = ""
    reason: str = ""


class Taint(_Object, frozen=True):
    key: str = ""
    value: str = ""
    effect: str = ""
    #: RFC 3339; kept for who writes the list back
    time_added: str | None = None


class NodeSpec(_Object, frozen=True):
    unschedulable: bool = False
    taints: list[Taint] = []


class NodeStatus(_Object, frozen=True):
    allocatable: dict[str, str] = {}
    conditions: list[State] = []


class Node(_Object, frozen=True):
    metadata: Metadata
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Toleration(_Object, frozen=True):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


class Resources(_Object, frozen=True):
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Port(_Object, frozen=True):
    container_port: int = 0
    host_port: int = 0
    host_ip: str = msgspec.field(default="", name="hostIP")
    protocol: str = "TCP"


class Container(_Object, frozen=True):
    resources: Resources = Resources()
    restart_policy: str | None = None
    ports: list[Port] = []


class SelectorTerm(_Object, frozen=True):
    key: str = ""
    operator: str = "In"
    values: list[str] = []


class NodeSelectorTerm(_Object, frozen=True):
    match_expressions: list[SelectorTerm] = []
    match_fields: list[SelectorTerm] = []


class RequiredNodeAffinity(_Object, frozen=True):
    node_selector_terms: list[NodeSelectorTerm] = []


class NodeAffinity(_Object, frozen=True):
    required_during_scheduling_ignored_during_execution: RequiredNodeAffinity | None = None


class LabelSelector(_Object, frozen=True):
    match_labels: dict[str, str] = {}
    match_expressions: list[SelectorTerm] = []


class PodAffinityTerm(_Object, frozen=True):
    topology_key: str = ""
    label_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    namespace_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()
    mismatch_label_keys: tuple[str, ...] = ()


class PodAffinity(_Object, frozen=True):
    required_during_scheduling_ignored_during_execution: tuple[PodAffinityTerm, ...] = ()


class Affinity(_Object, frozen=True):
    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class SpreadConstraint(_Object, frozen=True):
    max_skew: int = 1
    topology_key: str = ""
    when_unsatisfiable: str = "DoNotSchedule"
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[str, ...] = ()


class Gate(_Object, frozen=True):
    name: str = ""


class ClaimReference(_Object, frozen=True):
    name: str = ""
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class SchedulingGroup(_Object, frozen=True):
    pod_group_name: str | None = None


class PodSpec(_Object, frozen=True):
    node_name: str = ""
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: list[Toleration] = []
    scheduling_gates: list[Gate] = []
    containers: list[Container] = []
    init_containers: list[Container] = []
    overhead: dict[str, str] = {}
    host_network: bool = False
    topology_spread_constraints: tuple[SpreadConstraint, ...] = ()
    #: of the pod as a whole
    resources: Resources = Resources()
    resource_claims: list[ClaimReference] = []
    #: of a pod: what the API server worked out; None in a template
    priority: int | None = None
    priority_class_name: str = ""
    preemption_policy: str = ""
    #: the PodGroup of kube-scheduler that it is of
    scheduling_group: SchedulingGroup | None = None


class ClaimStatus(_Object, frozen=True):
    name: str = ""
    resource_claim_name: str | None = None


class PodStatus(_Object, frozen=True):
    phase: str = "Pending"
    conditions: list[State] = []
    resource_claim_statuses: list[ClaimStatus] = []


class Pod(_Object, frozen=True):
    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplateMetadata(_Object, frozen=True):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PodTemplate(_Object, frozen=True):
    metadata: PodTemplateMetadata = PodTemplateMetadata()
    spec: PodSpec = PodSpec()


class ExitCodes(_Object, frozen=True):
    operator: str = "In"
    values: list[int] = []


class PodConditionPattern(_Object, frozen=True):
    type: str = ""
    status: str = "True"


class FailureRule(_Object, frozen=True):
    action: str = ""
    on_exit_codes: ExitCodes | None = None
    on_pod_conditions: list[PodConditionPattern] = []


class FailurePolicy(_Object, frozen=True):
    rules: list[FailureRule] = []


class JobSpec(_Object, frozen=True):
    parallelism: int = 1
    completions: int | None = None
    completion_mode: str = "NonIndexed"
    suspend: bool = False
    backoff_limit: int | None = None
    backoff_limit_per_index: int | None = None
    pod_failure_policy: FailurePolicy | None = None
    pod_replacement_policy: str = ""
    template: PodTemplate = PodTemplate()


class JobStatus(_Object, frozen=True):
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    completed_indexes: str = ""
    conditions: list[Condition] = []


class Job(_Object, frozen=True):
    metadata: Metadata
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class PriorityClass(_Object, frozen=True):
    metadata: Metadata
    value: int = 0
    global_default: bool = False
    preemption_policy: str = ""


class GangWorkload(_Object, frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""


class GangTopology(_Object, frozen=True):
    required: str | None = None
    preferred: str | None = None
    segment_slots: int | None = None


class GangPower(_Object, frozen=True):
    profile: str = "MaxP"
    strict: bool = False


class GangGroup(_Object, frozen=True):
    name: str = ""
    slots: int = 0
    gpus_per_slot: int = 0
    resource_name: str = "nvidia.com/gpu"
    pod_class: str = ""
    workload: GangWorkload = GangWorkload()


class GangSpec(_Object, frozen=True):
    queue: str = ""
    workload: GangWorkload = GangWorkload()
    slots: int = 1
    min_slots: int | None = None
    gpus_per_slot: int = 0
    resource_name: str = "nvidia.com/gpu"
    groups: list[GangGroup] = []
    priority: int = 0
    topology: GangTopology = GangTopology()
    power: GangPower = GangPower()
    expected_duration_seconds: int | None = None
    disruption: str = "Checkpointable"
    on_node_loss: str = ""
    compute_domain: str = ""
    flex_tier: int = 0


class GangDecision(_Object, frozen=True):
    id: str = ""
    term: int = 0
    time: str = ""


class GangAssignment(_Object, frozen=True):
    nvlink_domain: str = ""
    rack: str = ""
    nodes: list[str] = []


class GangHeat(_Object, frozen=True):
    liquid_watts: int = 0
    air_watts: int = 0


class GangSmaller(_Object, frozen=True):
    gang: str = ""
    slots: int = 0


class GangMovedTo(_Object, frozen=True):
    gang: str = ""
    assignment: list[GangAssignment] = []


class GangLastMove(_Object, frozen=True):
    time: str = ""
    lost_gpu_seconds: int = 0
    why: str = ""
    before: list[GangAssignment] = []


class GangReservation(_Object, frozen=True):
    start_time: str = ""
    assignment: list[GangAssignment] = []
    why: str = ""
    for_preemption: bool = False
    victims: list[str] = []
    shrunk: list[GangSmaller] = []
    for_move: bool = False
    kept_free: bool = False
    moves: list[GangMovedTo] = []


class GangShed(_Object, frozen=True):
    action: str = ""
    since: str = ""
    from_profile: str = ""
    deadline: str = ""
    why: str = ""


class GangLearned(_Object, frozen=True):
    hardware_profile: str = ""
    node_watts: int = 0
    name: str = ""
    runs: int = 0


class GangStatus(_Object, frozen=True):
    phase: str = ""
    decision: GangDecision | None = None
    assignment: list[GangAssignment] = []
    slots: int | None = None
    released_slots: str = ""
    power_profile: str = ""
    requested_power_profile: str = ""
    shed: GangShed | None = None
    expected_performance_percent: int | None = None
    reserved_nominal_watts: int = 0
    reserved_peak_watts: int = 0
    learned: list[GangLearned] = []
    counts_in_full: bool = False
    heat: GangHeat = GangHeat()
    position: int | None = None
    reservation: GangReservation | None = None
    estimated_start: str | None = None
    #: as written: only compared, never read
    explanation: dict[str, Any] | None = None
    message: str = ""
    domains: str = ""
    reserved_kilowatts: str = ""
    last_move: GangLastMove | None = None
    submitted_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    observed_generation: int | None = None
    conditions: list[Condition] = []


class Gang(_Object, frozen=True):
    metadata: Metadata
    spec: GangSpec = GangSpec()
    status: GangStatus = GangStatus()
