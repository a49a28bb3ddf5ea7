"""Rack: the nodes in one rack, what feeds it, what cools it and how much it may draw."""

from dataclasses import replace
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
    Kilowatts,
    KindInfo,
    Line,
    ObjectName,
    PositiveWatts,
    Resource,
    Rule,
    Scope,
    Watts,
    list_map,
)
from rackplane.api.common import FeedRole, NodeSelector, PowerFeed, ServiceState
from rackplane.api.draining import DrainDeadline, DrainStatus
from rackplane.api.figures import (
    HEADROOM_KW,
    UNFED,
    WORST_LOSS,
    FeedingStatus,
    ObservedStatus,
    condition_column,
)
from rackplane.api.maintenance import MaintenanceWindows
from rackplane.api.report import Reports


class RackLocation(ApiModel):
    """Where the rack stands, for people and for `kubectl get`; placement does not read it."""

    site: Line | None = Field(default=None, description="Site or campus.")
    hall: Line | None = Field(default=None, description="Data hall.")
    row: Line | None = Field(default=None, description="Row in the hall.")
    position: Line | None = Field(default=None, description="Position in the row, as text: 07, A12.")


class RackFeed(PowerFeed):
    """A power domain that feeds this rack."""

    limit_watts: PositiveWatts | None = Field(
        default=None,
        description="Watts this feed may carry into the rack in every contingency, for example what the "
        "power "
        "shelves on one side deliver. Absent: the rack's limitWatts.",
    )


class RackCooling(ApiModel):
    """The cooling zones that take this rack's heat."""

    liquid: ObjectName | None = Field(
        default=None,
        description="CoolingZone that takes the liquid part of the heat. Absent: that part is not modelled.",
    )
    air: ObjectName | None = Field(
        default=None,
        description="CoolingZone that takes the rest of the heat. Absent: that part is not modelled.",
    )


class RackSpec(ApiModel):
    """One rack."""

    location: RackLocation | None = Field(default=None, description="Where the rack stands.")
    profile: ObjectName = Field(description="HardwareProfile of the nodes in the rack.")
    node_selector: NodeSelector = Field(
        description="Labels of the nodes in this rack; a node must carry all of them, and only one rack may "
        "claim it."
    )
    overhead_watts: Watts = Field(
        default=0,
        description="Watts the rack draws beside its nodes, always: NVLink switch trays, management, fans, "
        "conversion losses.",
    )
    limit_watts: PositiveWatts = Field(
        description="Nominal watts the rack may draw, overhead and idle nodes included."
    )
    peak_limit_watts: PositiveWatts | None = Field(
        default=None, description="Watts that short peaks of the rack may reach. Absent: limitWatts."
    )
    expected_nodes: Annotated[Integer, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Nodes the rack is built for. Status shows how many are missing, and planning without a cluster "
        "(rackplane --facility) counts on them. Absent: whatever the selector matches.",
    )
    feeds: tuple[RackFeed, ...] = Field(
        min_length=1,
        max_length=8,
        json_schema_extra=list_map("powerDomain"),
        description="Power domains that feed the rack; the load is split by weight over the live Active "
        "ones.",
    )
    cooling: RackCooling | None = Field(default=None, description="Cooling zones that take the rack's heat.")
    state: ServiceState = Field(
        default=ServiceState.ACTIVE,
        description="Active takes new gangs. Draining takes none, and those that run leave it at their next "
        "checkpoint. Maintenance takes none and is emptied at once, or at drainDeadline.",
    )
    drain_deadline: DrainDeadline = None
    maintenance: MaintenanceWindows = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.feeds.exists(f, f.role == 'Active')",
            message="no feed of the rack is Active",
            remedy="Set role: Active on at least one of spec.feeds",
            check=lambda spec: any(feed.role is FeedRole.ACTIVE for feed in spec.feeds),
            field="feeds",
        ),
        Rule(
            cel="self.overheadWatts <= self.limitWatts",
            message="overheadWatts is above limitWatts",
            remedy="Set overheadWatts to at most limitWatts",
            check=lambda spec: spec.overhead_watts <= spec.limit_watts,
            field="overheadWatts",
        ),
        Rule(
            cel="!has(self.peakLimitWatts) || self.peakLimitWatts >= self.limitWatts",
            message="peakLimitWatts is below limitWatts",
            remedy="Set peakLimitWatts to at least limitWatts, or leave it out",
            check=lambda spec: spec.peak_limit_watts is None or spec.peak_limit_watts >= spec.limit_watts,
            field="peakLimitWatts",
        ),
    )


class RackStatus(FeedingStatus, ObservedStatus):
    """What the rack holds and draws by Rackplane's books. Its headroom is that under every loss."""

    nodes: Count | None = Field(default=None, description="Nodes that the selector matches.")
    missing_nodes: Count | None = Field(
        default=None, description="Nodes short of spec.expectedNodes. Absent if that is."
    )
    gpus: Count | None = Field(default=None, description="GPUs of those nodes.")
    free_gpus: Count | None = Field(
        default=None, description="GPUs that nothing holds and that a gang could get."
    )
    reserved_nominal_watts: Watts | None = Field(
        default=None, description="Nominal watts by the books: overhead, idle nodes and every gang."
    )
    reserved_peak_watts: Watts | None = Field(
        default=None, description="The same with every gang at its peak."
    )
    unobserved_nodes: Count | None = Field(
        default=None, description="Nodes without a fresh reading. Absent without telemetry."
    )
    limit_kilowatts: Kilowatts | None = Field(
        default=None, description="spec.limitWatts in kW, for the table."
    )
    reserved_kilowatts: Kilowatts | None = Field(
        default=None, description="reservedNominalWatts in kW, for the table."
    )
    reports: Reports = ()
    drain: DrainStatus | None = Field(default=None, description="How far its emptying is.")


class Rack(Resource):
    """Rack is a physical rack: its nodes, its feeds, its cooling and the watts it may draw."""

    info = KindInfo(
        kind="Rack",
        plural="racks",
        short_names=("rk",),
        scope=Scope.CLUSTER,
        columns=(
            Column("Profile", ".spec.profile", description="HardwareProfile of its nodes"),
            Column("Hall", ".spec.location.hall", description="Data hall", wide=True),
            Column("Row", ".spec.location.row", description="Row", wide=True),
            Column("Nodes", ".status.nodes", "integer", "Nodes in the rack"),
            Column("GPUs", ".status.gpus", "integer", "GPUs in the rack"),
            Column("Free", ".status.freeGpus", "integer", "GPUs free for gangs"),
            Column("kW", ".status.reservedKilowatts", description="Reserved nominal kilowatts"),
            Column("Limit kW", ".status.limitKilowatts", description="Limit in kilowatts"),
            HEADROOM_KW,
            Column(
                "Bound by",
                ".status.worstContingency.element",
                description="Element whose limit bounds the headroom",
                wide=True,
            ),
            replace(WORST_LOSS, wide=True),
            UNFED,
            Column("Missing", ".status.missingNodes", "integer", "Nodes short of expectedNodes", wide=True),
            condition_column("Survives", "Survives", "Whether it keeps power after every single loss"),
            Column("State", ".spec.state", description="Active, Draining or Maintenance"),
            READY,
            REASON,
            AGE,
        ),
    )

    spec: RackSpec = Field(description="The rack.")
    status: RackStatus = Field(default_factory=RackStatus, description="Written by Rackplane.")
