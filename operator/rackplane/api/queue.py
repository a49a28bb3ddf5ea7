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
    NamespaceName,
    ObjectName,
    Priority,
    Resource,
    Rule,
    Scope,
    Watts,
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
    ANY = "Any"


class QueuePlacement(StrEnum):
    """How its gangs are laid out over the nodes that they may use."""

    PACK = "Pack"
    SPREAD = "Spread"


class QueueQuota(ApiModel):
    """What the queue may hold. An absent figure is bounded by the parent and by the facility."""

    gpus: Count | None = Field(default=None, description="GPUs. Absent: no bound of its own.")
    watts: Watts | None = Field(
        default=None, description="Nominal watts its gangs may draw above idle. Absent: no bound of its own."
    )


class QueuePreemption(ApiModel):
    """Whom the queue may stop."""

    within_queue: WithinQueue = Field(
        default=WithinQueue.NEVER,
        description="LowerPriority: a gang may stop gangs of lower priority in this queue.",
    )
    reclaim: Reclaim = Field(
        default=Reclaim.NEVER, description="Any: the queue may stop gangs of queues that borrow its quota."
    )


class QueueSpec(ApiModel):
    """A queue. Jobs name it in the label rackplane.dev/queue."""

    parent: ObjectName | None = Field(
        default=None, description="Queue above this one; its quota bounds this one too."
    )
    quota: QueueQuota = Field(default_factory=QueueQuota, description="What the queue may hold.")
    weight: Annotated[Integer, Field(ge=1, le=1_000_000)] = Field(
        default=1, description="Share of what is free, relative to the other queues under the same parent."
    )
    priority: Priority = Field(
        default=0, description="Added to the priority of its gangs; higher goes first."
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
    hold: bool = Field(
        default=False, strict=True, description="Admit nothing from this queue; what runs goes on."
    )
    namespaces: tuple[NamespaceName, ...] = Field(
        default=(),
        max_length=1024,
        json_schema_extra=unique(),
        description="Namespaces that may use the queue. Empty: all.",
    )


class QueueStatus(Status):
    """What waits and runs."""

    pending: Count | None = Field(default=None, description="Gangs that wait.")
    admitted: Count | None = Field(default=None, description="Gangs that hold GPUs.")
    used_gpus: Count | None = Field(default=None, description="GPUs they hold.")
    used_watts: Watts | None = Field(
        default=None, description="Nominal watts they draw above idle by the books."
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
            Column("Watts", ".status.usedWatts", "integer", "Watts in use", wide=True),
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
