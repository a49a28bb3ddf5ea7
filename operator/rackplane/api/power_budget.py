"""PowerBudget: policy on power, on top of what the equipment stands."""

from enum import StrEnum
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from rackplane.api.base import (
    AGE,
    READY,
    REASON,
    ApiModel,
    Column,
    Kilowatts,
    KindInfo,
    LabelValue,
    Line,
    NamespaceName,
    ObjectName,
    Resource,
    Rule,
    Scope,
    SignedWatts,
    Timestamp,
    Watts,
    unique,
)
from rackplane.api.common import Status

TimeOfDay = Annotated[str, Field(max_length=5, pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


class BudgetScope(StrEnum):
    """Normal: with everything in service. Always: also after the loss of any one survivable element."""

    NORMAL = "Normal"
    ALWAYS = "Always"


class Weekday(StrEnum):
    """Days of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


def _known_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a relative path; a directory of the database
        return False
    return True


class BudgetTargets(ApiModel):
    """What the budget bounds; the watts of all targets are added up."""

    power_domains: tuple[ObjectName, ...] = Field(
        default=(), max_length=256, json_schema_extra=unique(), description="Power domains, at their output."
    )
    feed_tags: tuple[LabelValue, ...] = Field(
        default=(),
        max_length=64,
        json_schema_extra=unique(),
        description="Feed tags; each stands for the topmost power domains that carry it.",
    )
    queues: tuple[ObjectName, ...] = Field(
        default=(),
        max_length=256,
        json_schema_extra=unique(),
        description="Queues; what their gangs draw above idle.",
    )
    namespaces: tuple[NamespaceName, ...] = Field(
        default=(),
        max_length=256,
        json_schema_extra=unique(),
        description="Namespaces; what their gangs draw above idle.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="(has(self.powerDomains) && size(self.powerDomains) > 0) || "
            "(has(self.feedTags) && size(self.feedTags) > 0) || "
            "(has(self.queues) && size(self.queues) > 0) || "
            "(has(self.namespaces) && size(self.namespaces) > 0)",
            message="the budget has no target",
            remedy="Name at least one power domain, feed tag, queue or namespace in spec.targets",
            check=lambda targets: bool(
                targets.power_domains or targets.feed_tags or targets.queues or targets.namespaces
            ),
        ),
    )


class BudgetInterval(ApiModel):
    """One stretch of time, as in a grid operator's order."""

    start: Timestamp = Field(description="From this instant on (RFC 3339, with offset or Z).")
    end: Timestamp = Field(description="Up to this instant, which is no longer in it.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="timestamp(self.start) < timestamp(self.end)",
            message="the interval ends before it starts",
            remedy="Set end to a later time than start",
            check=lambda interval: interval.start < interval.end,
            field="end",
        ),
    )


class ScheduleWindow(ApiModel):
    """A stretch of the day that comes again every week."""

    days: tuple[Weekday, ...] = Field(
        default=(),
        max_length=7,
        json_schema_extra=unique(),
        description="Days on which the window starts. Empty: every day.",
    )
    from_: TimeOfDay = Field(alias="from", description="Local time at which the window starts: 17:00.")
    to: TimeOfDay = Field(
        description="Local time at which it ends: 21:00. Before from: on the next day. 24:00 is midnight."
    )
    time_zone: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*$")
    ] = Field(default="UTC", description="IANA time zone of from and to: America/Chicago.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="self.from != self.to",
            message="the window has no length",
            remedy="Set to to another time than from; a whole day is from 00:00 to 24:00",
            check=lambda window: window.from_ != window.to,
            field="to",
        ),
    )

    @property
    def time_zone_known(self) -> bool:
        """Whether this machine's time zone database has the zone; the API server cannot tell."""
        return _known_zone(self.time_zone)


class PowerBudgetSpec(ApiModel):
    """A bound on power. Without interval and schedule it holds always."""

    targets: BudgetTargets = Field(description="What the budget bounds.")
    limit_watts: Watts = Field(
        description="Nominal watts that the targets may draw together. 0 lets nothing start."
    )
    interval: BudgetInterval | None = Field(default=None, description="Holds only in this stretch of time.")
    schedule: tuple[ScheduleWindow, ...] = Field(
        default=(), max_length=32, description="Holds only in these windows of the week."
    )
    applies_to: BudgetScope = Field(
        default=BudgetScope.NORMAL,
        description="Normal: with everything in service. Always: also after the loss of any one survivable "
        "element.",
    )
    best_effort: bool = Field(
        default=False,
        strict=True,
        description="Admit nothing above the limit, but stop nothing to get below it (DSX Flex best effort).",
    )
    correlation_id: Line | None = Field(
        default=None, description="The sender's name for the order, repeated in what Rackplane reports."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.interval) || !has(self.schedule) || size(self.schedule) == 0",
            message="both interval and schedule are set",
            remedy="Keep one of them; write a second PowerBudget for the other",
            check=lambda spec: spec.interval is None or not spec.schedule,
            field="schedule",
        ),
    )


class PowerBudgetStatus(Status):
    """Whether the budget holds now, and what is left of it; and what it will find when it next starts."""

    active: bool | None = Field(default=None, strict=True, description="The budget holds at this time.")
    active_until: Timestamp | None = Field(
        default=None, description="When it ceases to hold. Absent: it does not hold now, or has no end."
    )
    reserved_nominal_watts: Watts | None = Field(
        default=None, description="Nominal watts of the targets by the books."
    )
    headroom_watts: SignedWatts | None = Field(
        default=None, description="Watts left below the limit. Below zero: above it."
    )
    next_start: Timestamp | None = Field(
        default=None, description="When it next starts to hold, within the time that is looked ahead."
    )
    next_end: Timestamp | None = Field(
        default=None, description="When the stretch that starts at nextStart ends. Absent: it has no end."
    )
    expected_watts: Watts | None = Field(
        default=None,
        description="Nominal watts of the targets at nextStart: of the gangs that are expected to run then.",
    )
    expected_headroom_watts: SignedWatts | None = Field(
        default=None, description="Watts below the limit at nextStart. Below zero: above it."
    )
    limit_kilowatts: Kilowatts | None = Field(
        default=None, description="spec.limitWatts in kW, for the table."
    )
    reserved_kilowatts: Kilowatts | None = Field(
        default=None, description="reservedNominalWatts in kW, for the table."
    )
    headroom_kilowatts: Kilowatts | None = Field(
        default=None, description="headroomWatts in kW, for the table."
    )
    expected_kilowatts: Kilowatts | None = Field(
        default=None, description="expectedWatts in kW, for the table."
    )


class PowerBudget(Resource):
    """PowerBudget is policy on power: a contract limit, a quota in watts, a grid operator's order."""

    info = KindInfo(
        kind="PowerBudget",
        plural="powerbudgets",
        short_names=("pb",),
        scope=Scope.CLUSTER,
        columns=(
            Column("Active", ".status.active", "boolean", "Whether it holds now"),
            Column("kW", ".status.reservedKilowatts", description="Reserved nominal kilowatts"),
            Column("Limit kW", ".status.limitKilowatts", description="Limit in kilowatts"),
            Column("Headroom kW", ".status.headroomKilowatts", description="Kilowatts left"),
            Column("Next start", ".status.nextStart", description="When it next starts to hold"),
            Column("Applies", ".spec.appliesTo", description="Normal or Always"),
            Column("Until", ".status.activeUntil", description="When it ceases to hold", wide=True),
            Column(
                "Expected kW",
                ".status.expectedKilowatts",
                description="Kilowatts at the next start",
                wide=True,
            ),
            Column("Order", ".spec.correlationId", description="The sender's name for the order", wide=True),
            Column(
                "Best effort",
                ".spec.bestEffort",
                "boolean",
                "Stops nothing to get below the limit",
                wide=True,
            ),
            READY,
            REASON,
            AGE,
        ),
    )

    spec: PowerBudgetSpec = Field(description="The budget.")
    status: PowerBudgetStatus = Field(default_factory=PowerBudgetStatus, description="Written by Rackplane.")
