"""Gang: one job's request, and Rackplane's decision about it."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from rackplane.api.base import (
    AGE,
    MAX_SLOTS,
    REASON,
    ApiModel,
    Column,
    Count,
    ExtendedResource,
    Flag,
    Integer,
    Kilowatts,
    KindInfo,
    LevelName,
    Line,
    ObjectName,
    Percent,
    Priority,
    ProfileName,
    Resource,
    Rule,
    Scope,
    Seconds,
    Text,
    Timestamp,
    Watts,
    one_owner,
)
from rackplane.api.common import Status
from rackplane.api.explanation import Explanation
from rackplane.api.hardware_profile import MAX_PROFILE

MAX_GROUPS = 32
"""Kinds of pods in one gang."""
Slots = Annotated[Integer, Field(ge=1, le=MAX_SLOTS)]
GpuSeconds = Annotated[Integer, Field(ge=0, le=10**15)]


class Disruption(StrEnum):
    """What may be done to a running gang. Protected: nothing. Checkpointable: stop it after a checkpoint.
    Sheddable: stop it at once when power or cooling is lost."""

    PROTECTED = "Protected"
    CHECKPOINTABLE = "Checkpointable"
    SHEDDABLE = "Sheddable"


class NodeLoss(StrEnum):
    """What becomes of a running gang that has lost a node. Wait: nothing, the node may come back. Swap: other nodes of
    the same NVLink domain take its slots; if there are none, the whole gang moves. Restart: the whole gang moves."""

    WAIT = "Wait"
    SWAP = "Swap"
    RESTART = "Restart"


class ComputeDomainMode(StrEnum):
    """Who makes the ComputeDomain of a gang. Auto: Rackplane does."""

    AUTO = "Auto"


class GangPhase(StrEnum):
    """Where a gang stands."""

    PENDING = "Pending"
    ADMITTED = "Admitted"
    RUNNING = "Running"
    STOPPING = "Stopping"
    FINISHED = "Finished"
    FAILED = "Failed"
    HELD = "Held"


class ObjectReference(ApiModel):
    """An object that pods of a gang come from."""

    api_version: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Its apiVersion: batch/v1."
    )
    kind: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="Its kind: Job. JobList for Jobs that name one gang; groups then say which."
    )
    name: ObjectName = Field(
        description="Its name, in the gang's namespace. Of several Jobs the name that they give their gang."
    )
    uid: Annotated[str, Field(max_length=64)] = Field(
        description="Its uid, so that a new object of the same name is another gang. Empty for a group of "
        "bare pods and for several Jobs."
    )


class WorkloadReference(ObjectReference):
    """The object the gang stands for."""

    model_config = ConfigDict(json_schema_extra=one_owner())

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self == oldSelf",
            message="the workload of a gang cannot change",
            remedy="Delete the gang; Rackplane makes a new one for the new workload",
            check=None,
        ),
    )


class GangTopology(ApiModel):
    """How close together the slots must or should be."""

    model_config = ConfigDict(json_schema_extra=one_owner())

    required: LevelName | None = Field(
        default=None,
        description="All slots in one domain of this level, or the gang waits: nvlink, leaf, spine.",
    )
    preferred: LevelName | None = Field(
        default=None,
        description="All slots in one domain of this level if one is free; may stand beside required.",
    )
    segment_slots: Slots | None = Field(
        default=None,
        description="Cut the slots into runs of this length, each inside one NVLink domain, whatever the "
        "level of "
        "the whole.",
    )


class GangPower(ApiModel):
    """What the gang's nodes run at."""

    profile: ProfileName = Field(
        default=MAX_PROFILE, description="Power profile: MaxP, MaxQ, MaxLPS or your own."
    )
    strict: bool = Field(
        default=False,
        strict=True,
        description="Wait for that profile; otherwise the next lower one that fits is taken.",
    )


class GangGroup(ApiModel):
    """Slots that are alike, in a gang whose slots are not: a leader, and its workers."""

    name: Line = Field(description="What its pods are called, for people.")
    slots: Slots = Field(description="Pods of it. Over all groups in order they are slots 0, 1, 2 and so on.")
    gpus_per_slot: Annotated[Integer, Field(ge=0, le=1024)] = Field(description="GPUs that one pod asks for.")
    resource_name: ExtendedResource = Field(
        default="nvidia.com/gpu", description="Extended resource that gpusPerSlot counts."
    )
    pod_class: Line = Field(
        description="Digest of all that decides which nodes take a pod of it; a bare pod that waits is known by it."
    )
    workload: ObjectReference | None = Field(
        default=None, description="The Job that its pods are of, where several Jobs are one gang."
    )


class GangSpec(ApiModel):
    """What the job asks for. Rackplane writes it from the workload's labels and annotations."""

    queue: ObjectName = Field(description="Queue the gang waits in.")
    workload: WorkloadReference = Field(description="The object the gang stands for; it cannot change.")
    slots: Slots = Field(
        description="Pods that run at the same time: min(parallelism, completions) of a Job. All start or "
        "none."
    )
    min_slots: Slots | None = Field(
        default=None,
        description="The fewest slots it can run with; it starts with fewer than slots if more find no place. Absent: "
        "all of them.",
    )
    gpus_per_slot: Annotated[Integer, Field(ge=0, le=1024)] = Field(description="GPUs that one pod asks for.")
    resource_name: ExtendedResource = Field(
        default="nvidia.com/gpu", description="Extended resource that gpusPerSlot counts."
    )
    groups: tuple[GangGroup, ...] = Field(
        default=(),
        max_length=MAX_GROUPS,
        description="Where pods differ: slots by kind of pod; slots is then their sum and gpusPerSlot the most of one. "
        "Empty: all are alike.",
    )
    priority: Priority = Field(default=0, description="Higher goes first in its queue.")
    topology: GangTopology = Field(
        default_factory=GangTopology, description="How close together the slots must or should be."
    )
    power: GangPower = Field(default_factory=GangPower, description="What the gang's nodes run at.")
    expected_duration_seconds: Seconds | None = Field(
        default=None,
        description="How long the user expects it to run, for planning; nothing is stopped by it.",
    )
    disruption: Disruption = Field(
        default=Disruption.CHECKPOINTABLE,
        description="What may be done to it. Protected: nothing. Checkpointable: stop it after a checkpoint. "
        "Sheddable: stop it at once when power or cooling is lost.",
    )
    on_node_loss: NodeLoss | None = Field(
        default=None,
        description="What becomes of it when a node is lost under it. Wait: nothing. Swap, or absent: its slots "
        "there go to other nodes of the same NVLink domain; if there are none, the whole gang moves. Restart: the "
        "whole gang moves.",
    )
    compute_domain: ComputeDomainMode | None = Field(
        default=None,
        description="Auto: a ComputeDomain of NVIDIA's DRA driver is made for it before its pods start, and deleted "
        "when they are gone; it shares no NVLink clique with another. Absent: it has none, or one of its user's.",
    )
    flex_tier: Annotated[Integer, Field(ge=0, le=3)] = Field(
        default=0,
        description="Slowdown it accepts in a grid event: tiers 0 to 3 are 0, 10, 25 and 50 percent.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.minSlots) || self.minSlots <= self.slots",
            message="minSlots is above slots",
            remedy="Set minSlots to at most slots",
            check=lambda spec: spec.min_slots is None or spec.min_slots <= spec.slots,
            field="minSlots",
        ),
        Rule(
            # Every object has a topology: the schema's default.
            cel="!has(self.topology.segmentSlots) || self.topology.segmentSlots <= self.slots",
            message="a segment is larger than the gang",
            remedy="Set topology.segmentSlots to at most slots",
            check=lambda spec: (
                spec.topology.segment_slots is None or spec.topology.segment_slots <= spec.slots
            ),
            field="topology.segmentSlots",
        ),
        Rule(
            cel="!has(self.groups) || self.groups.size() == 0 || "
            "self.groups.map(group, group.slots).sum() == self.slots",
            message="the slots of the groups are not slots together",
            remedy="Set slots to their sum",
            check=lambda spec: not spec.groups or sum(group.slots for group in spec.groups) == spec.slots,
            field="slots",
        ),
    )


class GangDecision(ApiModel):
    """The commit: who decided, and when."""

    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Identity of the decision; every write that follows from it names it."
    )
    term: Annotated[Integer, Field(ge=0)] = Field(
        description="Term of the leader that decided. A later leader reverts what an earlier one commits "
        "too late."
    )
    time: Timestamp = Field(description="When it was decided.")


class AssignmentGroup(ApiModel):
    """Slots in one rack of one NVLink domain."""

    nvlink_domain: Line = Field(description="NVLink domain of the nodes.")
    rack: ObjectName = Field(description="Rack of the nodes.")
    nodes: tuple[ObjectName, ...] = Field(
        max_length=MAX_SLOTS,
        description="Node of each slot in order, a node once for every slot it holds. Over all groups in "
        "order these "
        "are slots 0, 1, 2 and so on.",
    )


class GangHeat(ApiModel):
    """Heat the gang adds."""

    liquid_watts: Watts = Field(description="Into the liquid loops.")
    air_watts: Watts = Field(description="Into the air.")


class GangSmaller(ApiModel):
    """An elastic gang that goes on with fewer slots."""

    gang: Line = Field(description="The gang, as namespace/name.")
    slots: Slots = Field(description="How many slots it goes on with.")


class GangMovedTo(ApiModel):
    """A gang that is moved, and where to."""

    gang: Line = Field(description="The gang, as namespace/name.")
    assignment: tuple[AssignmentGroup, ...] = Field(
        default=(), max_length=MAX_SLOTS, description="Where each of its slots is to go."
    )


class GangLastMove(ApiModel):
    """That it was moved by defragmentation."""

    time: Timestamp = Field(description="When it was told to stop for it.")
    lost_gpu_seconds: GpuSeconds = Field(
        description="Work since its last checkpoint, and that of starting again, in GPU-seconds."
    )
    why: Text | None = Field(default=None, description="What it was moved for.")
    before: tuple[AssignmentGroup, ...] = Field(
        default=(), max_length=MAX_SLOTS, description="Where its slots were."
    )


class GangReservation(ApiModel):
    """The place that is held for a waiting gang from a time on: nothing else may stand there then."""

    start_time: Timestamp = Field(
        description="When it is to start there: when what runs there is expected to be over."
    )
    assignment: tuple[AssignmentGroup, ...] = Field(
        default=(), max_length=MAX_SLOTS, description="Where each slot is to go."
    )
    why: Text | None = Field(default=None, description="What it waits for there, in a sentence.")
    for_preemption: Flag | None = Field(
        default=None, description="True if others are stopped for it: nobody else gets the place meanwhile."
    )
    victims: tuple[Line, ...] = Field(
        default=(), max_length=MAX_SLOTS, description="Gangs that are stopped for it, as namespace/name."
    )
    shrunk: tuple[GangSmaller, ...] = Field(
        default=(), max_length=MAX_SLOTS, description="Gangs that give up some of their slots for it."
    )
    for_move: Flag | None = Field(
        default=None,
        description="True if the gang moves here from where it is, or was: nobody else gets the place.",
    )
    kept_free: Flag | None = Field(
        default=None,
        description="True once gangs there run past their expected end: nobody else is let in, however short it runs.",
    )
    moves: tuple[GangMovedTo, ...] = Field(
        default=(), max_length=64, description="Gangs that are moved for it, and where to."
    )


class ShedAction(StrEnum):
    """What is done to a running gang while an element is over its limit."""

    CAP = "Cap"
    STOP = "Stop"


class GangShed(ApiModel):
    """What a running gang gives up so that an element comes back under its limit."""

    action: ShedAction = Field(
        description="Cap: it runs at a lower power profile until there is room again. Stop: it is stopped at the "
        "deadline."
    )
    since: Timestamp = Field(description="When that was decided.")
    from_profile: ProfileName | None = Field(
        default=None, description="Power profile that it comes back to; of a cap."
    )
    deadline: Timestamp | None = Field(
        default=None,
        description="When it is stopped at the latest; a checkpoint after `since` brings that forward. Of a stop.",
    )
    why: Text | None = Field(default=None, description="What is over its limit, in a sentence.")


class GangLearned(ApiModel):
    """What its nodes of one HardwareProfile count at, from earlier runs."""

    hardware_profile: ObjectName = Field(description="HardwareProfile of the nodes.")
    node_watts: Watts = Field(description="Nominal watts that a node of them counts at.")
    name: Line = Field(description="Name of the jobs that were read, without what was generated at its end.")
    runs: Count = Field(description="How many runs of them were read.")


class GangStatus(Status):
    """The decision and what became of it."""

    model_config = ConfigDict(json_schema_extra=one_owner())

    phase: GangPhase | None = Field(
        default=None,
        description="Pending waits; Admitted has its nodes and starts; Running has all its pods; Stopping gives its "
        "place up; Finished "
        "and Failed "
        "are over; Held may not start.",
    )
    decision: GangDecision | None = Field(
        default=None, description="The decision that the assignment comes from."
    )
    assignment: tuple[AssignmentGroup, ...] = Field(
        default=(), max_length=MAX_SLOTS, description="Where each slot goes."
    )
    slots: Slots | None = Field(
        default=None,
        description="How many slots it is to run with: spec.slots, or fewer, at least spec.minSlots.",
    )
    released_slots: (
        Annotated[str, Field(max_length=1_048_576, pattern=r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$")]
        | None
    ) = Field(default=None, description="Slots that are over and hold nothing any more, as ranges: 3,5-7.")
    power_profile: ProfileName | None = Field(default=None, description="Power profile it was admitted with.")
    requested_power_profile: ProfileName | None = Field(
        default=None,
        description="Power profile it asked for when it was admitted; another than powerProfile if only a lower one "
        "fitted.",
    )
    shed: GangShed | None = Field(
        default=None,
        description="What it gives up while an element is over its limit; absent when it gives up nothing.",
    )
    expected_performance_percent: Percent | None = Field(
        default=None,
        description="Speed to expect at powerProfile, in percent of the speed without a cap: that of its slowest "
        "node type.",
    )
    reserved_nominal_watts: Watts | None = Field(
        default=None, description="Nominal watts it adds to its racks."
    )
    reserved_peak_watts: Watts | None = Field(default=None, description="Peak watts it adds to its racks.")
    learned: tuple[GangLearned, ...] = Field(
        default=(),
        max_length=16,
        description="Where reservedNominalWatts are less than by power profile: what earlier runs drew at most. Absent "
        "once it has drawn more itself.",
    )
    counts_in_full: bool | None = Field(
        default=None,
        strict=True,
        description="It counts by its power profile in spite of `learned`: its nodes are not read.",
    )
    heat: GangHeat | None = Field(default=None, description="Heat it adds, by medium.")
    position: Count | None = Field(
        default=None,
        description="Place in the order in which the waiting gangs of all queues are asked, 1 is next. Far back it may "
        "be some seconds old.",
    )
    reservation: GangReservation | None = Field(
        default=None, description="The place that is held for it while it waits."
    )
    estimated_start: Timestamp | None = Field(
        default=None,
        description="When it could start by what is expected now: ends of running gangs and of budgets. Of the gangs "
        "that wait before it those count that hold a place. Absent: not known, or not within the time looked ahead.",
    )
    message: Text | None = Field(
        default=None, description="Where it stands, in a sentence: why it waits, what would help."
    )
    explanation: Explanation | None = Field(
        default=None, description="Why it waits, in parts; absent once it is admitted."
    )
    domains: Line | None = Field(default=None, description="NVLink domains it is in, for the table.")
    reserved_kilowatts: Kilowatts | None = Field(
        default=None, description="reservedNominalWatts in kW, for the table."
    )
    last_move: GangLastMove | None = Field(
        default=None,
        description="The last move by defragmentation; it is not moved again for some time after.",
    )
    submitted_at: Timestamp | None = Field(default=None, description="When it began to wait.")
    started_at: Timestamp | None = Field(default=None, description="When all its pods ran.")
    finished_at: Timestamp | None = Field(default=None, description="When it was over.")


class Gang(Resource):
    """Gang is one job's request for slots that start together, and Rackplane's decision about it."""

    info = KindInfo(
        kind="Gang",
        plural="gangs",
        short_names=("gg",),
        scope=Scope.NAMESPACED,
        columns=(
            Column("Queue", ".spec.queue", description="Queue it waits in"),
            Column("Phase", ".status.phase", description="Where it stands"),
            Column("Position", ".status.position", "integer", "Place in the order of all that wait"),
            Column("Slots", ".spec.slots", "integer", "Pods it asks for"),
            Column("Granted", ".status.slots", "integer", "Pods it is to run with"),
            Column("GPUs/slot", ".spec.gpusPerSlot", "integer", "GPUs of one pod"),
            Column("Domains", ".status.domains", description="NVLink domains it is in"),
            Column("kW", ".status.reservedKilowatts", description="Nominal kilowatts it adds"),
            Column("Profile", ".status.powerProfile", description="Power profile it runs at"),
            Column(
                "Asked", ".status.requestedPowerProfile", description="Power profile it asked for", wide=True
            ),
            Column(
                "Speed %",
                ".status.expectedPerformancePercent",
                "integer",
                "Speed to expect, in percent of full speed",
                wide=True,
            ),
            Column("Estimated start", ".status.estimatedStart", description="When it could start", wide=True),
            Column("Workload", ".spec.workload.name", description="The job", wide=True),
            REASON,
            Column("Message", ".status.message", description="Where it stands, in words", wide=True),
            AGE,
        ),
    )

    spec: GangSpec = Field(description="What the job asks for.")
    status: GangStatus = Field(default_factory=GangStatus, description="Written by Rackplane.")
