"""Status that every element of power and cooling has alike: what is left, under which loss, and what nobody can use."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from rackplane.api.base import (
    ApiModel,
    Column,
    Count,
    Flag,
    Kilowatts,
    Line,
    SignedWatts,
    Timestamp,
    Watts,
)
from rackplane.api.common import Status

#: Entries that a status shows of a list that the size of the facility decides; counts beside it are of all.
SHOWN: Final = 16


class LimitKind(StrEnum):
    """Which limit of an element is spoken of."""

    CONTINUOUS_RATING = "ContinuousRating"
    PEAK_LIMIT = "PeakLimit"
    BUDGET = "Budget"
    RACK_LIMIT = "RackLimit"
    RACK_PEAK_LIMIT = "RackPeakLimit"
    FEED_LIMIT = "FeedLimit"
    LIQUID_COOLING = "LiquidCooling"
    AIR_COOLING = "AirCooling"


class StrandedCause(StrEnum):
    """Why headroom cannot be used, or why a free node cannot be fed."""

    RACK = "Rack"
    POWER = "Power"
    BUDGET = "Budget"
    LIQUID = "Liquid"
    AIR = "Air"
    REMAINDER = "Remainder"
    UNAVAILABLE = "Unavailable"
    NO_IDLE_NODE = "NoIdleNode"


class WorstContingency(ApiModel):
    """The limit that is nearest, or most exceeded, of all losses that the facility is designed to survive."""

    loss: Line = Field(description="Element that is lost; empty for the state as it is now.")
    kind: LimitKind = Field(description="Which limit it is.")
    element: Line = Field(
        description="Whose limit it is: a power domain, cooling zone, budget or rack; for FeedLimit the feed's power "
        "domain."
    )
    load_watts: Watts = Field(description="Load of that limit then.")
    limit_watts: Watts = Field(description="The limit then.")
    headroom_watts: SignedWatts = Field(description="limitWatts - loadWatts. Below zero: over the limit.")


class StrandedWatts(ApiModel):
    """A part of an element's headroom that no free node can use."""

    cause: StrandedCause = Field(description="Why.")
    watts: Watts = Field(description="How much of the headroom.")


class UnfedNodes(ApiModel):
    """Free nodes that one limit does not let start."""

    cause: StrandedCause = Field(description="Which kind of limit.")
    element: Line = Field(description="Whose limit, as in worstContingency.")
    loss: Line = Field(description="Element whose loss would exceed it; empty: it would be exceeded now.")
    nodes: Count = Field(description="Nodes.")
    watts: Watts = Field(description="Nominal watts that they would add at full power.")


class OwnLoss(ApiModel):
    """What the loss of this element would do."""

    within_limits: Flag = Field(description="Everything that goes on running would stay within its limits.")
    worst: WorstContingency | None = Field(
        default=None, description="The limit with the least left then. Absent: none would be nearer than now."
    )
    racks_switched_off: Count = Field(description="Racks that no feed would reach.")
    racks: tuple[Line, ...] = Field(
        default=(), max_length=SHOWN, description="The first of these racks by name."
    )
    zones_reduced: Count = Field(description="Cooling zones that could take less heat.")
    zones: tuple[Line, ...] = Field(
        default=(), max_length=SHOWN, description="The first of these zones by name."
    )
    second_to: tuple[Line, ...] = Field(
        default=(),
        max_length=SHOWN,
        description="Elements out of service that share its redundancy: with them, its loss is a second one.",
    )


class BoundedStatus(Status):
    """Of anything with a limit."""

    headroom_watts: SignedWatts | None = Field(
        default=None, description="Watts that could still be added. Below zero: over a limit."
    )
    headroom_kilowatts: Kilowatts | None = Field(
        default=None, description="headroomWatts in kW, for the table."
    )
    worst_contingency: WorstContingency | None = Field(
        default=None, description="The loss that leaves least, and what it leaves."
    )


class FeedingStatus(BoundedStatus):
    """Of anything above free nodes."""

    unfed_nodes: Count | None = Field(
        default=None, description="Free nodes that some limit does not let start."
    )
    unfed_watts: Watts | None = Field(
        default=None, description="Nominal watts that they would add at full power."
    )
    unfed: tuple[UnfedNodes, ...] = Field(
        default=(), max_length=SHOWN, description="The same by limit, most watts first."
    )


class ObservedStatus(ApiModel):
    """Of anything that meters read."""

    observed_watts: Watts | None = Field(
        default=None,
        description="Watts by telemetry. Absent unless every node in it or below it has a fresh reading.",
    )
    observed_at: Timestamp | None = Field(
        default=None, description="When the oldest reading in observedWatts was taken."
    )


class ElementStatus(FeedingStatus):
    """Of a power domain or a cooling zone."""

    usable_watts: Watts | None = Field(
        default=None,
        description="Watts it may carry without end now, after its state and its units or modules.",
    )
    overloaded_since: Timestamp | None = Field(
        default=None,
        description="Since when it has been over a limit. The seconds of an emergency rating, or of riding through, "
        "are counted from then, whoever leads.",
    )
    usable_kilowatts: Kilowatts | None = Field(default=None, description="usableWatts in kW, for the table.")
    worst_kilowatts: Kilowatts | None = Field(
        default=None, description="worstContingency.headroomWatts in kW, for the table."
    )
    stranded_watts: Watts | None = Field(
        default=None,
        description="Headroom under every loss that would be left if every free node that can start did: nobody can "
        "use it.",
    )
    stranded_kilowatts: Kilowatts | None = Field(
        default=None, description="strandedWatts in kW, for the table."
    )
    stranded: tuple[StrandedWatts, ...] = Field(
        default=(), max_length=len(StrandedCause), description="strandedWatts by cause."
    )


HEADROOM_KW = Column("Headroom kW", ".status.headroomKilowatts", description="Kilowatts that could be added")
WORST_KW = Column(
    "Worst kW", ".status.worstKilowatts", description="Kilowatts left after the loss that is worst"
)
WORST_LOSS = Column(
    "Worst loss", ".status.worstContingency.loss", description="That loss; empty: nothing is worse than now"
)
UNFED = Column("Unfed", ".status.unfedNodes", "integer", "Free nodes that a limit keeps idle", wide=True)
STRANDED_KW = Column(
    "Stranded kW", ".status.strandedKilowatts", description="Headroom that no free node can use", wide=True
)


def condition_column(name: str, condition: str, description: str, *, wide: bool = False) -> Column:
    """The status of a condition, empty where the object does not have it."""
    return Column(name, f'.status.conditions[?(@.type=="{condition}")].status', "string", description, wide)
