"""PowerDomain: one physical element of the power path, with its rating and what feeds it."""

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
    Kilowatts,
    KindInfo,
    LabelValue,
    PositiveWatts,
    Resource,
    Rule,
    Scope,
    Watts,
    list_map,
)
from rackplane.api.common import FeedRole, PowerFeed
from rackplane.api.figures import (
    HEADROOM_KW,
    STRANDED_KW,
    UNFED,
    WORST_KW,
    WORST_LOSS,
    ElementStatus,
    ObservedStatus,
    OwnLoss,
    condition_column,
)
from rackplane.api.maintenance import MaintenanceWindows
from rackplane.api.report import Reports


class PowerDomainType(StrEnum):
    """What the element is (terms of Redfish where it has one). For people: the physics reads the figures."""

    UTILITY = "Utility"
    SUBSTATION = "Substation"
    GENERATOR = "Generator"
    BESS = "BESS"
    UPS = "UPS"
    SWITCHGEAR = "Switchgear"
    TRANSFER_SWITCH = "TransferSwitch"
    BUSWAY = "Busway"
    PDU = "PDU"
    FLOOR_PDU = "FloorPDU"
    RPP = "RPP"
    RACK_PDU = "RackPDU"
    POWER_SHELF = "PowerShelf"
    OTHER = "Other"


class PowerState(StrEnum):
    """Offline and Maintenance carry nothing; Maintenance is meant and brings no alarm."""

    ONLINE = "Online"
    OFFLINE = "Offline"
    MAINTENANCE = "Maintenance"


class ModuleRedundancy(ApiModel):
    """Paralleled modules inside the element (N+1 inside a UPS, power supplies in a shelf)."""

    installed: Annotated[Integer, Field(ge=1, le=1024)] = Field(description="Modules built in.")
    needed: Annotated[Integer, Field(ge=1, le=1024)] = Field(
        description="Modules that carry the load: N of N+1. The rest is reserve and adds no capacity."
    )
    module_watts: PositiveWatts = Field(description="Watts one module delivers.")
    online: Annotated[Integer, Field(ge=0, le=1024)] | None = Field(
        default=None, description="Modules that work now. Absent: all installed ones."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.needed <= self.installed",
            message="more modules are needed than installed",
            remedy="Set needed to at most installed",
            check=lambda modules: modules.needed <= modules.installed,
            field="needed",
        ),
        Rule(
            cel="!has(self.online) || self.online <= self.installed",
            message="more modules are online than installed",
            remedy="Set online to at most installed",
            check=lambda modules: modules.online is None or modules.online <= modules.installed,
            field="online",
        ),
    )


class EmergencyRating(ApiModel):
    """What the element stands for a short time; used only where policy allows and load can be shed."""

    percent: Annotated[Integer, Field(ge=100, le=300)] = Field(description="Load in percent of ratedWatts.")
    seconds: Annotated[Integer, Field(ge=1, le=86_400)] = Field(description="How long it stands that load.")


class PowerDomainSpec(ApiModel):
    """One element of the power path. Elements form a graph without cycles, not a tree."""

    type: PowerDomainType = Field(description="What the element is.")
    rated_watts: PositiveWatts = Field(description="Watts the element may deliver at its output.")
    continuous_percent: Annotated[Integer, Field(ge=1, le=100)] = Field(
        default=100,
        description="Part of ratedWatts allowed without end: 80 where the electrical code says so, 100 for "
        "100-percent-rated equipment.",
    )
    peak_limit_watts: PositiveWatts | None = Field(
        default=None, description="Watts that short peaks may reach. Absent: ratedWatts."
    )
    base_load_watts: Watts = Field(
        default=0,
        description="Watts at the output that something else takes, always: lights, network, storage.",
    )
    efficiency_basis_points: Annotated[Integer, Field(ge=1, le=10_000)] = Field(
        default=10_000, description="Output over input in hundredths of a percent: 9650 is 96.5 percent."
    )
    parents: tuple[PowerFeed, ...] = Field(
        default=(),
        max_length=16,
        json_schema_extra=list_map("powerDomain"),
        description="Elements that feed this one. Without parents it is a source.",
    )
    feed_tag: LabelValue | None = Field(
        default=None, description="Tag that groups elements for a PowerBudget or a grid order: main-a."
    )
    survivable: bool = Field(
        default=False,
        strict=True,
        description="The facility is designed to survive the loss of this element: no admission may depend "
        "on it.",
    )
    redundancy: ModuleRedundancy | None = Field(default=None, description="Modules inside the element.")
    emergency: EmergencyRating | None = Field(default=None, description="Short-time rating.")
    state: PowerState = Field(
        default=PowerState.ONLINE, description="Online carries load; Offline and Maintenance carry none."
    )
    maintenance: MaintenanceWindows = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.baseLoadWatts <= self.ratedWatts",
            message="baseLoadWatts is above ratedWatts",
            remedy="Set baseLoadWatts to at most ratedWatts",
            check=lambda spec: spec.base_load_watts <= spec.rated_watts,
            field="baseLoadWatts",
        ),
        Rule(
            cel="!has(self.parents) || size(self.parents) == 0 || self.parents.exists(p, p.role == 'Active')",
            message="no parent is Active",
            remedy="Set role: Active on at least one of spec.parents",
            check=lambda spec: (
                not spec.parents or any(parent.role is FeedRole.ACTIVE for parent in spec.parents)
            ),
            field="parents",
        ),
    )


class PowerDomainStatus(ElementStatus, ObservedStatus):
    """What the element carries by Rackplane's books. Its headroom is that of the state as it is now."""

    reserved_nominal_watts: Watts | None = Field(
        default=None, description="Nominal watts at its output by the books, base load included."
    )
    reserved_peak_watts: Watts | None = Field(
        default=None, description="The same with every gang at its peak."
    )
    running_modules: Count | None = Field(
        default=None, description="Modules that work now. Absent without spec.redundancy."
    )
    own_loss: OwnLoss | None = Field(
        default=None,
        description="What its loss would do. Absent if it is not survivable, or carries nothing now.",
    )
    reserved_kilowatts: Kilowatts | None = Field(
        default=None, description="reservedNominalWatts in kW, for the table."
    )
    peak_kilowatts: Kilowatts | None = Field(
        default=None, description="reservedPeakWatts in kW, for the table."
    )
    reports: Reports = ()


class PowerDomain(Resource):
    """PowerDomain is a physical element of the power path: utility, UPS, switchgear, PDU, busway."""

    info = KindInfo(
        kind="PowerDomain",
        plural="powerdomains",
        short_names=("pd",),
        scope=Scope.CLUSTER,
        columns=(
            Column("Type", ".spec.type", description="What the element is"),
            Column("Feed", ".spec.feedTag", description="Feed tag"),
            Column("kW", ".status.reservedKilowatts", description="Reserved nominal kilowatts"),
            Column("Usable kW", ".status.usableKilowatts", description="Kilowatts it may carry"),
            HEADROOM_KW,
            WORST_KW,
            WORST_LOSS,
            condition_column("Survives", "SurvivesLoss", "Whether its own loss would be survived"),
            Column("Peak kW", ".status.peakKilowatts", description="Reserved peak kilowatts", wide=True),
            STRANDED_KW,
            UNFED,
            condition_column("Redundancy lost", "RedundancyLost", "No module is left in reserve", wide=True),
            Column("State", ".spec.state", description="Online, Offline or Maintenance"),
            READY,
            REASON,
            AGE,
        ),
    )

    spec: PowerDomainSpec = Field(description="The element.")
    status: PowerDomainStatus = Field(default_factory=PowerDomainStatus, description="Written by Rackplane.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.spec.parents) || self.spec.parents.all(p, p.powerDomain != self.metadata.name)",
            message="the power domain is its own parent",
            remedy="Remove it from spec.parents",
            check=lambda domain: all(parent.power_domain != domain.name for parent in domain.spec.parents),
            field="spec.parents",
        ),
    )
