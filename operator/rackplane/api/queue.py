"""Queue: who may use how much, and in which order."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from rackplane.api.base import (
    AGE,
    READY,
    REASON,
    ApiModel,
    Column,
    Count,
    Integer,
    KindInfo,
    Line,
    NamespaceName,
    ObjectName,
    Priority,
    ProfileName,
    Resource,
    Rule,
    Scope,
    Timestamp,
    Watts,
    list_map,
    unique,
)
from rackplane.api.common import Status


class WithinQueue(StrEnum):
    """Whether a gang may stop one of lower priority in its own queue."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"


class Reclaim(StrEnum):
    """Whether a queue may stop gangs of others to get its own quota back."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"
    ANY = "Any"


class QueuePlacement(StrEnum):
    """How its gangs are laid out over the nodes that they may use."""

    PACK = "Pack"
    SPREAD = "Spread"


LENT_ABOVE_QUOTA = "lends more than its quota"
LEND_LESS = "Set the lending limit to at most the quota"


class ProfileQuota(ApiModel):
    """What the queue may hold of the nodes of one HardwareProfile."""

    profile: ObjectName = Field(description="Name of the HardwareProfile.")
    gpus: Count = Field(description="GPUs on nodes of that profile.")
    borrowing_limit_gpus: Count | None = Field(
        default=None,
        description="So many more at most while others leave them unused. Absent: as many as they leave.",
    )
    lending_limit_gpus: Count | None = Field(
        default=None,
        description="So many of its own at most may others use while it does not. Absent: all of them.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.lendingLimitGpus) || self.lendingLimitGpus <= self.gpus",
            message=LENT_ABOVE_QUOTA,
            remedy=LEND_LESS,
            check=lambda quota: quota.lending_limit_gpus is None or quota.lending_limit_gpus <= quota.gpus,
            field="lendingLimitGpus",
        ),
    )


class QueueQuota(ApiModel):
    """What the queue and those below it may hold.

    A queue may hold its quota, and may borrow what the others under the same parent leave unused. What no queue of a
    tree has a figure for is not bounded in that tree.
    """

    gpus: Count | None = Field(
        default=None,
        description="GPUs. Absent: as many as the queues below it have together; if they have no figure either, none "
        "of its own, so it runs on what the others under its parent leave, and without a parent it is not bounded.",
    )
    watts: Watts | None = Field(
        default=None, description="Nominal watts that its gangs may draw above idle. Absent: as for gpus."
    )
    borrowing_limit_gpus: Count | None = Field(
        default=None,
        description="So many GPUs more at most while others under the same parent leave them unused. Absent: as many "
        "as they leave, and the parent may borrow in its turn.",
    )
    borrowing_limit_watts: Watts | None = Field(default=None, description="The same for watts.")
    lending_limit_gpus: Count | None = Field(
        default=None,
        description="So many of its GPUs at most may others use while it does not. Absent: all of them.",
    )
    lending_limit_watts: Watts | None = Field(default=None, description="The same for watts.")
    profiles: tuple[ProfileQuota, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=list_map("profile"),
        description="Quota in GPUs on nodes of a HardwareProfile, beside the one over all nodes. In a tree where a "
        "profile has a quota anywhere, a queue without one has none of its own.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.lendingLimitGpus) || !has(self.gpus) || self.lendingLimitGpus <= self.gpus",
            message=LENT_ABOVE_QUOTA,
            remedy=LEND_LESS,
            check=lambda quota: _at_most(quota.lending_limit_gpus, quota.gpus),
            field="lendingLimitGpus",
        ),
        Rule(
            cel="!has(self.lendingLimitWatts) || !has(self.watts) || self.lendingLimitWatts <= self.watts",
            message=LENT_ABOVE_QUOTA,
            remedy=LEND_LESS,
            check=lambda quota: _at_most(quota.lending_limit_watts, quota.watts),
            field="lendingLimitWatts",
        ),
    )


def _at_most(lent: int | None, quota: int | None) -> bool:
    return lent is None or quota is None or lent <= quota


def _limits(quota: QueueQuota) -> bool:
    """Whether it says anything about borrowing or lending."""
    limits = (
        quota.borrowing_limit_gpus,
        quota.borrowing_limit_watts,
        quota.lending_limit_gpus,
        quota.lending_limit_watts,
        *(p.borrowing_limit_gpus for p in quota.profiles),
        *(p.lending_limit_gpus for p in quota.profiles),
    )
    return any(limit is not None for limit in limits)


class QueuePreemption(ApiModel):
    """Whom the queue may stop."""

    within_queue: WithinQueue = Field(
        default=WithinQueue.NEVER,
        description="LowerPriority: a gang may stop gangs of lower priority in this queue.",
    )
    reclaim: Reclaim = Field(
        default=Reclaim.NEVER,
        description="Whom the queue may stop to get its own quota back, of the queues that borrow it: LowerPriority, "
        "gangs of lower priority than the one that needs the place; Any, all of them.",
    )


class LearnedPower(ApiModel):
    """That gangs may count at what earlier runs of the same name drew."""

    floor_percent: Annotated[Integer, Field(ge=1, le=100)] = Field(
        default=70,
        description="A node never counts at less than this percentage of the nominal watts of its power profile.",
    )


class QueueSpec(ApiModel):
    """A queue. Jobs name it in the label rackplane.dev/queue."""

    parent: ObjectName | None = Field(
        default=None,
        description="Queue above this one; its quota bounds all queues below it together, and they may borrow from one "
        "another.",
    )
    quota: QueueQuota = Field(default_factory=QueueQuota, description="What the queue may hold.")
    weight: Annotated[Integer, Field(ge=1, le=1_000_000)] = Field(
        default=1,
        description="Share of what is free, relative to the other queues under the same parent: of two queues whose "
        "gangs have the same priority, the one that holds less for its weight goes first.",
    )
    priority: Priority = Field(
        default=0, description="Added to the priority of its own gangs; higher goes first."
    )
    preemption: QueuePreemption = Field(
        default_factory=QueuePreemption, description="Whom the queue may stop."
    )
    placement: QueuePlacement | None = Field(
        default=None,
        description="Pack, also if absent: few NVLink domains and racks, which keeps large ones free. Spread: "
        "as few pods as possible in any one domain and rack, within the level that the job asks for, so that a loss "
        "takes few of them.",
    )
    learned_power: LearnedPower | None = Field(
        default=None,
        description="Gangs count at no more nominal watts than earlier runs of jobs of the same name are known to have "
        "drawn, where telemetry says so; peak watts stay. Absent: by power profile alone.",
    )
    hold: bool = Field(
        default=False, strict=True, description="Admit nothing from this queue; what runs goes on."
    )
    namespaces: tuple[NamespaceName, ...] = Field(
        default=(),
        max_length=1024,
        json_schema_extra=unique(),
        description="Namespaces that may use the queue. Empty: all.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="has(self.parent) || !has(self.quota) || ("
            "!has(self.quota.borrowingLimitGpus) && !has(self.quota.borrowingLimitWatts) && "
            "!has(self.quota.lendingLimitGpus) && !has(self.quota.lendingLimitWatts) && "
            "(!has(self.quota.profiles) || self.quota.profiles.all(p, "
            "!has(p.borrowingLimitGpus) && !has(p.lendingLimitGpus))))",
            message="a queue without a parent has nobody to borrow from or to lend to",
            remedy="Set spec.parent, or remove the borrowing and lending limits",
            check=lambda spec: spec.parent is not None or not _limits(spec.quota),
            field="quota",
        ),
    )


class ProfileUsage(ApiModel):
    """What the gangs hold of the nodes of one HardwareProfile."""

    profile: ObjectName = Field(description="Name of the HardwareProfile.")
    used_gpus: Count = Field(description="GPUs they hold there.")
    borrowed_gpus: Count | None = Field(
        default=None, description="GPUs of them above the queue's quota there."
    )


#: GPUs or watts times seconds. The largest that a client which reads numbers as floats still has exactly: 10 GW
#: for ever, at a half-life of a week.
Integral = Annotated[Integer, Field(ge=0, le=2**53 - 1)]


class UsageHistory(ApiModel):
    """What the gangs of the queue itself have held, each second of it weighted by how long ago it was.

    After one half-life a second counts half. Read again after a restart.
    """

    time: Timestamp = Field(description="When this was the sum.")
    gpu_seconds: Integral = Field(description="GPUs held, summed over time.")
    watt_seconds: Integral = Field(description="Nominal watts above idle, summed over time.")


class LearnedRuns(ApiModel):
    """What runs of jobs of one name drew, of whole nodes of one HardwareProfile at one power profile."""

    namespace: NamespaceName = Field(description="Namespace of the jobs.")
    name: Line = Field(description="Name of the jobs, without what was generated at its end.")
    hardware_profile: ObjectName = Field(description="HardwareProfile of the nodes.")
    power_profile: ProfileName = Field(description="Power profile they ran at.")
    runs: Count = Field(description="How many runs were read.")
    node_watts: Watts = Field(
        description="The most that one node drew in the mean of 15 minutes, in all of them."
    )
    last_run: Timestamp = Field(description="When the last of them ended.")


class QueueStatus(Status):
    """What waits and runs in the queue and in those below it."""

    pending: Count | None = Field(default=None, description="Gangs that wait.")
    oldest_wait: Timestamp | None = Field(
        default=None, description="Since when the one waits that has waited longest; absent if none waits."
    )
    admitted: Count | None = Field(default=None, description="Gangs that hold a place.")
    used_gpus: Count | None = Field(default=None, description="GPUs they hold.")
    used_watts: Watts | None = Field(
        default=None, description="Nominal watts they draw above idle by the books."
    )
    borrowed_gpus: Count | None = Field(default=None, description="GPUs of them above the queue's quota.")
    borrowed_watts: Watts | None = Field(default=None, description="Watts of them above the queue's quota.")
    profiles: tuple[ProfileUsage, ...] = Field(
        default=(),
        max_length=256,
        json_schema_extra=list_map("profile"),
        description="The same by HardwareProfile, for those that are used or have a quota in the tree.",
    )
    share_permille: Count | None = Field(
        default=None,
        description="Part of what its parent has that counts as the queue's, of GPUs or watts whichever is more: half "
        "what is held now and half the decaying average; not divided by the weight.",
    )
    usage_history: UsageHistory | None = Field(
        default=None, description="What its own gangs have held; absent if no history is kept."
    )
    learned: tuple[LearnedRuns, ...] = Field(
        default=(),
        max_length=100,
        description="What earlier runs drew, by name of the job; those that ran last.",
    )


class Queue(Resource):
    """Queue says who may use how many GPUs and watts, and in which order."""

    info = KindInfo(
        kind="Queue",
        plural="queues",
        short_names=("rq",),
        scope=Scope.CLUSTER,
        columns=(
            Column("Parent", ".spec.parent", description="Queue above", wide=True),
            Column("Priority", ".spec.priority", "integer", "Priority added to its gangs"),
            Column("Pending", ".status.pending", "integer", "Gangs that wait"),
            Column("Admitted", ".status.admitted", "integer", "Gangs that hold GPUs"),
            Column("GPUs", ".status.usedGpus", "integer", "GPUs in use"),
            Column("Quota", ".spec.quota.gpus", "integer", "GPU quota"),
            Column("Borrowed", ".status.borrowedGpus", "integer", "GPUs in use above the quota", wide=True),
            Column("Watts", ".status.usedWatts", "integer", "Watts in use", wide=True),
            Column(
                "Share", ".status.sharePermille", "integer", "Thousandths of what its parent has", wide=True
            ),
            Column(
                "Oldest wait", ".status.oldestWait", "date", "How long a gang has waited at most", wide=True
            ),
            Column("Hold", ".spec.hold", "boolean", "Admits nothing"),
            READY,
            REASON,
            AGE,
        ),
    )

    spec: QueueSpec = Field(default_factory=QueueSpec, description="The queue.")
    status: QueueStatus = Field(default_factory=QueueStatus, description="Written by Rackplane.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.spec) || !has(self.spec.parent) || self.spec.parent != self.metadata.name",
            message="the queue is its own parent",
            remedy="Remove spec.parent or name another queue",
            check=lambda queue: queue.spec.parent != queue.name,
            field="spec.parent",
        ),
    )
