"""How one operator process runs: from the command line and the environment."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field

__all__ = ["OperatorSettings"]


def _identity() -> str:
    # Unique to the process: a container that was restarted in its pod is another candidate.
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """Every field is a flag of `rackplane operator` and a variable `RACKPLANE_<NAME>`; the flag wins."""

    kubeconfig: str | None = None
    """Path of a kubeconfig. None: the pod's service account, else $KUBECONFIG, else ~/.kube/config."""

    namespace: str = "rackplane-system"
    """Namespace of the Lease. In a pod, $POD_NAMESPACE."""

    mode: str = "Active"
    """Active, or Observe: where gangs would be placed is worked out and told, and nothing of a user's is touched. See
    docs/adopting.md."""

    lease_name: str = "rackplane"
    """Name of the Lease. Operators with different names would both lead."""

    lease_seconds: float = 10.0
    """So long after its leader's last sign of life a Lease is free for another, in seconds. With the two below this
    makes at most 13 s without a leader after one died: see docs/when-the-operator-is-down.md."""

    lease_renew_seconds: float = 3.0
    """Between two signs of life of the leader, in seconds; less than half of `lease_seconds`. A leader gives up so many
    seconds before its Lease is free."""

    lease_retry_seconds: float = 1.0
    """Between two looks of a standby at the Lease, in seconds; not more than `lease_renew_seconds`. A standby takes a
    Lease that was handed over within that time."""

    identity: str = field(default_factory=_identity)
    """Holder of the Lease: unique to this process."""

    host: str = "0.0.0.0"
    """Address that metrics and probes listen on."""

    metrics_port: int = 8080
    """Port of /metrics. 0: any free one."""

    gang_metrics: bool = False
    """Tell metrics of single gangs too. See docs/metrics.md."""

    gang_metrics_limit: int = 500
    """So many gangs at most have metrics of their own."""

    health_port: int = 8081
    """Port of /healthz and /readyz; may be the same."""

    reports_tokens: str = ""
    """Directory with the tokens of those who may report facility events over HTTP: a file for each source. Empty: the
    endpoint is off. See docs/facility-events.md."""

    reports_port: int = 8082
    """Port of the endpoint for reports. 0: any free one."""

    reports_tls: str = ""
    """Directory with tls.crt and tls.key for that endpoint. Empty: plain HTTP, behind something that ends TLS."""

    ui: bool = False
    """Serve the floor plan, a page that only reads and asks nobody who they are. See docs/floor-plan.md."""

    ui_host: str = "0.0.0.0"
    """Address that it listens on."""

    ui_port: int = 8083
    """Port of it. 0: any free one."""

    ui_seconds: float = 2.0
    """Between two looks of a page that is open, in seconds."""

    ui_history_seconds: float = 10.0
    """Between two moments of the last hour that it can go back to, in seconds."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    log_format: str = "json"
    """json, or text for a terminal."""

    concurrency: int = 32
    """The most writes to the API server at a time."""

    facility_resync_seconds: float = 300.0
    """How often the facility's kinds are listed besides being watched, in seconds. Bounds how long an event that
    kopf lost can go unnoticed."""

    silence_seconds: float = 600.0
    """A watch that shows no sign of life for so long fails the liveness probe. Longer than any watch lasts, in
    seconds."""

    shutdown_seconds: float = 10.0
    """How long writes under way may take at shutdown, in seconds. Less than the pod's grace period."""

    taint_nodes: bool = False
    """Nodes of Racks get the taint rackplane.dev/managed:NoSchedule."""

    node_loss_seconds: float = 30.0
    """A node must be lost for so long before what a gang has there goes elsewhere, in seconds. See
    docs/node-loss.md."""

    lost_node_conditions: str = ""
    """Conditions of a Node that mean it is lost to gangs, as `KernelDeadlock,GpuHealthy=False`; without a status
    True."""

    compute_domains: bool = False
    """Make a ComputeDomain of NVIDIA's DRA driver for each gang that asks for one. The operator must be allowed to
    list, watch, create and delete them. See docs/compute-domain.md."""

    ignore_pod_groups: bool = False
    """Pods that name a PodGroup of kube-scheduler are no gang by that. Else the operator should be allowed to list and
    watch PodGroups; a cluster without them is fine. See docs/workloads.md."""

    workload_kinds: str = "JobSet,TrainJob,PyTorchJob,MPIJob,RayCluster,RayJob"
    """Kinds of other projects whose workloads queue, as `JobSet,PyTorchJob`: those that the cluster has are watched.
    The operator must be allowed to list each. See docs/workloads.md."""

    kueue: bool = False
    """Answer for Kueue's Workloads through AdmissionChecks of the controller rackplane.dev/placement. See
    docs/kueue.md."""

    admit_after_loss: bool = False
    """While a survivable element is out of service, start gangs that would be over a limit only at a second loss. See
    docs/status.md."""

    shedding: str = "Stop"
    """What is done to running gangs while an element is over its limit: Stop (after lower power profiles), Cap (lower
    power profiles alone), or Off (it is shown). See docs/shedding.md."""

    shed_protected: bool = False
    """Protected gangs give way too, after all others."""

    actuation_seconds: float = 10.0
    """A power cap that is not in force after so long counts as not done, in seconds."""

    emergency_admission: bool = False
    """A loss may take a power domain up to its emergency rating, where confirmed caps are sure to end that in time. See
    docs/physics.md."""

    emergency_margin_seconds: float = 30.0
    """So much earlier than at the end of an emergency rating's seconds caps must be in force, in seconds."""

    confirmation: str = "None"
    """Who says that a power cap is in force: None (nobody; it counts from when it is written), Agent (the agent on the
    node) or Endpoint (the answer of `power_endpoint`). See docs/actuators.md."""

    power_endpoint: str = ""
    """URL that power caps are posted to as well. Empty: none."""

    power_endpoint_token_file: str = ""
    """File that holds the bearer token for it, read for each request. Empty: none is sent."""

    power_endpoint_timeout_seconds: float = 5.0
    """Seconds that a request to it may take."""

    telemetry_url: str = ""
    """URL of a Prometheus that is asked what nodes draw. Empty: none is. See docs/telemetry.md."""

    telemetry_query: str = "kepler"
    """What it is asked: kepler, dcgm, or a query whose vector has one value in watts for each node."""

    telemetry_label: str = ""
    """The label that names the node. Empty: that of kepler or dcgm; with a query of one's own, `node`."""

    telemetry_token_file: str = ""
    """File that holds the bearer token for it, read for each request. Empty: none is sent."""

    telemetry_host_watts: int = 0
    """Watts of a node that the readings do not include, added to each: with dcgm, all but the GPUs."""

    telemetry_seconds: float = 15.0
    """Between two questions. Seconds."""

    telemetry_stale_seconds: float = 100.0
    """A reading counts for so long; then the node counts at its reserved peak. Seconds."""

    telemetry_drift_percent: float = 10.0
    """So far above its reserved nominal watts a rack may draw before it drifts."""

    telemetry_supply_query: str = ""
    """A query with one value in degrees Celsius for each `cooling_zone`: reported as its supply temperature. Empty:
    none. See docs/telemetry.md."""

    telemetry_state_query: str = ""
    """A query with one value for each `power_domain`, 0 where it is lost: reported as its state. Empty: none."""

    restore_seconds: float = 300.0
    """So long there must have been room before a cap is lifted, in seconds."""

    ramp_watts_per_second: float = float("inf")
    """Caps are lifted no faster than this, over the whole facility, in watts a second."""

    assumed_duration_seconds: float = 86_400.0
    """How long a gang without an expected duration is taken to run, in seconds; inf: for ever. See docs/budgets.md."""

    reservations: int = 1
    """So many gangs at the head of the queue that cannot start hold a place, which nobody may delay; 0: none. See
    docs/backfill.md."""

    defragmentation: str = "Off"
    """Off; or Propose: gangs that wait are told which moves of running gangs would let them start; or Move: those that
    the budget allows are carried out. See docs/defrag.md."""

    defragmentation_max_moves: int = 4
    """Gangs that one such plan moves at most."""

    defragmentation_max_gpu_hours: float = float("inf")
    """Work that one such plan loses at most, in GPU-hours."""

    defragmentation_moves_per_hour: int = 4
    """With Move: gangs that are moved at most within an hour."""

    defragmentation_gpu_hours_per_hour: float = 64.0
    """With Move: work that moves lose at most within an hour, in GPU-hours; inf: any."""

    defragmentation_least_gain: float = 2.0
    """With Move: GPU-hours of waiting that moves for a gang must save it for each GPU-hour that they lose."""

    defragmentation_domain_gpu_hours: float = 0.0
    """With Move: GPU-hours that may be lost for one more whole free NVLink domain or rack; 0: none are freed."""

    defragmentation_rest_seconds: float = 14_400.0
    """With Move: a gang that was moved is not moved again for so many seconds; an hour at least."""

    share_half_life_seconds: float = 7 * 86_400.0
    """After so many seconds what a queue has held counts half in its share; 0: only what is held now counts. See
    docs/queues.md."""

    lookahead_seconds: float = 7 * 86_400.0
    """How far ahead the start of a gang that waits is looked for, in seconds."""

    fabric_levels: str = "leaf,spine,hall,site"
    """Levels that gangs may ask for, innermost first; those before `nvlink` lie below the NVLink domain. See
    docs/levels.md."""

    fabric_labels: str = ""
    """Node labels, or presets of them, by level: `leaf=eks,example.com/tor;spine=example.com/spine`. A level that is
    not named has those of every preset."""

    discovery: bool = False
    """Write Racks and NVLinkDomains from the labels of nodes. See docs/discovery.md."""

    discovery_rack_labels: str = ""
    """Node labels, or levels, that name racks: `example.com/rack,nvlink`. Empty: the usual ones."""

    discovery_rack_template: str = ""
    """What labels do not say of racks, as YAML or JSON: the spec of a Rack. Empty: no Rack is written."""

    discovery_seconds: float = 60.0
    """Seconds between two looks."""

    decisions: bool = False
    """Serve the last decisions at /debug/decisions, to whom the cluster allows it. The operator must be allowed to
    create TokenReviews and SubjectAccessReviews. See docs/decisions.md."""

    decisions_port: int = 8084
    """Port of it. 0: any free one."""

    decisions_tls: str = ""
    """Directory with tls.crt and tls.key for it. Empty: plain HTTP on the loopback address."""

    decisions_kept: int = 2_000
    """So many decisions are kept at most, and about 8 MiB of them."""

    record: str = ""
    """File that what the machine is told and asks for is recorded in, compressed if it ends with .gz, for `rackplane
    replay`; one that is there is kept as FILE.1. Empty: nothing is. See docs/decisions.md."""

    record_mebibytes: int = 256
    """The recording ends when its file is so large, in MiB."""

    validate: bool = False
    """Check every invariant of the state after every batch of events. Costs a recomputation: for tests."""
