"""CoolingZone: one cooling loop with its units and what they can take."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field

from rackplane.api.base import (
    AGE,
    READY,
    REASON,
    ApiModel,
    Celsius,
    Column,
    Count,
    Integer,
    Kilowatts,
    KindInfo,
    ObjectName,
    Percent,
    PositiveWatts,
    Resource,
    Rule,
    Scope,
    Watts,
    list_map,
    unique,
)
from rackplane.api.common import FeedRole, PowerFeed
from rackplane.api.figures import (
    HEADROOM_KW,
    STRANDED_KW,
    UNFED,
    WORST_KW,
    WORST_LOSS,
    ElementStatus,
    condition_column,
)
from rackplane.api.maintenance import UnitWindows
from rackplane.api.report import Reports


class CoolingMedium(StrEnum):
    """What carries the heat away."""

    LIQUID = "Liquid"
    AIR = "Air"


class UnitState(StrEnum):
    """Whether a unit runs."""

    ONLINE = "Online"
    OFFLINE = "Offline"


class CoolingUnit(ApiModel):
    """One CDU, CRAH, pump or chiller of the loop."""

    name: ObjectName = Field(description="Name of the unit, unique in its zone.")
    capacity_watts: PositiveWatts = Field(description="Heat it takes at full capacity.")
    draw_watts: Watts = Field(default=0, description="Electrical watts it draws from its feeds, always.")
    feeds: tuple[PowerFeed, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra=list_map("powerDomain"),
        description="Power domains that feed it; without a live one it cools nothing. None: it needs no "
        "power of ours.",
    )
    state: UnitState = Field(default=UnitState.ONLINE, description="Online takes heat; Offline takes none.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.drawWatts == 0 || (has(self.feeds) && size(self.feeds) > 0)",
            message="the unit draws power but has no feed, so its watts would be counted nowhere",
            remedy="Name the power domains it draws from in feeds, or set drawWatts to 0",
            check=lambda unit: unit.draw_watts == 0 or bool(unit.feeds),
            field="drawWatts",
        ),
        Rule(
            cel="!has(self.feeds) || size(self.feeds) == 0 || self.feeds.exists(f, f.role == 'Active')",
            message="no feed of the unit is Active",
            remedy="Set role: Active on at least one of its feeds",
            check=lambda unit: not unit.feeds or any(feed.role is FeedRole.ACTIVE for feed in unit.feeds),
            field="feeds",
        ),
    )


class DeratingPoint(ApiModel):
    """What the units still take at one supply temperature."""

    supply_celsius: Celsius = Field(description="Supply temperature in degrees Celsius.")
    percent: Percent = Field(description="Capacity at that temperature in percent of capacityWatts.")


class CoolingZoneSpec(ApiModel):
    """One loop."""

    medium: CoolingMedium = Field(
        description="Liquid takes the liquid part of the racks' heat, Air the rest."
    )
    units: tuple[CoolingUnit, ...] = Field(
        min_length=1,
        max_length=64,
        json_schema_extra=list_map("name"),
        description="The units of the loop.",
    )
    needed_units: Annotated[Integer, Field(ge=1, le=64)] = Field(
        description="Units that carry the heat: N of N+1. Usable are the smallest so many that run; the "
        "rest is reserve."
    )
    supply_celsius: Celsius | None = Field(
        default=None, description="Supply temperature now, in degrees Celsius, for deratingCurve."
    )
    derating_curve: tuple[DeratingPoint, ...] = Field(
        default=(),
        max_length=32,
        json_schema_extra=list_map("supplyCelsius"),
        description="Capacity by supply temperature: a straight line between points, the coldest point "
        "below all of "
        "them, nothing above the hottest. Empty: full capacity at any temperature.",
    )
    ride_through_seconds: Annotated[Integer, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="Seconds the loop carries full heat after all its units stopped."
    )
    parents: tuple[ObjectName, ...] = Field(
        default=(),
        max_length=8,
        json_schema_extra=unique(),
        description="Cooling zones that take this zone's heat in turn: the facility water behind a row's "
        "CDUs. "
        "All of the heat counts in each of them.",
    )
    maintenance: UnitWindows = ()

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.neededUnits <= size(self.units)",
            message="more units are needed than the zone has",
            remedy="Set neededUnits to at most the number of units",
            check=lambda spec: spec.needed_units <= len(spec.units),
            field="neededUnits",
        ),
        Rule(
            cel="!has(self.deratingCurve) || size(self.deratingCurve) == 0 || has(self.supplyCelsius)",
            message="deratingCurve is set but supplyCelsius is not, so the capacity is unknown",
            remedy="Set supplyCelsius, or remove deratingCurve",
            check=lambda spec: not spec.derating_curve or spec.supply_celsius is not None,
            field="deratingCurve",
        ),
    )

    def derating_percent(self) -> int:
        """Capacity at the present supply temperature in percent, rounded down; 100 without a curve.

        Above the hottest point of the curve it is 0: nobody vouches for the units there.
        """
        if not self.derating_curve or self.supply_celsius is None:
            return 100
        points = sorted((point.supply_celsius, point.percent) for point in self.derating_curve)
        now = self.supply_celsius
        if now <= points[0][0]:
            return points[0][1]
        for (cold, before), (warm, after) in pairwise(points):
            if now <= warm:
                return (before * (warm - now) + after * (now - cold)) // (warm - cold)
        return 0


class CoolingZoneStatus(ElementStatus):
    """What the loop takes by Rackplane's books. Its headroom is that of the state as it is now."""

    heat_watts: Watts | None = Field(default=None, description="Heat it takes by the books.")
    heat_kilowatts: Kilowatts | None = Field(default=None, description="heatWatts in kW, for the table.")
    running_units: Count | None = Field(
        default=None, description="Units that are online and, where they have feeds, fed."
    )
    reports: Reports = ()


class CoolingZone(Resource):
    """CoolingZone is one cooling loop: the CDUs of a row, the air handlers of a hall."""

    info = KindInfo(
        kind="CoolingZone",
        plural="coolingzones",
        short_names=("cz",),
        scope=Scope.CLUSTER,
        columns=(
            Column("Medium", ".spec.medium", description="Liquid or Air"),
            Column("Running", ".status.runningUnits", "integer", "Units that run"),
            Column("Needed", ".spec.neededUnits", "integer", "Units that carry the heat"),
            Column("Supply C", ".spec.supplyCelsius", "integer", "Supply temperature", wide=True),
            Column("Heat kW", ".status.heatKilowatts", description="Heat by the books in kilowatts"),
            Column("Usable kW", ".status.usableKilowatts", description="Heat it may take in kilowatts"),
            HEADROOM_KW,
            WORST_KW,
            WORST_LOSS,
            condition_column("Redundancy lost", "RedundancyLost", "No unit is left in reserve"),
            STRANDED_KW,
            UNFED,
            READY,
            REASON,
            AGE,
        ),
    )

    spec: CoolingZoneSpec = Field(description="The loop.")
    status: CoolingZoneStatus = Field(default_factory=CoolingZoneStatus, description="Written by Rackplane.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.spec.parents) || self.spec.parents.all(p, p != self.metadata.name)",
            message="the cooling zone is its own parent",
            remedy="Remove it from spec.parents",
            check=lambda zone: zone.name not in zone.spec.parents,
            field="spec.parents",
        ),
    )
