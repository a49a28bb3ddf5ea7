"""Parts that several kinds share."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from rackplane.api.base import (
    ApiModel,
    Integer,
    LabelValue,
    LevelName,
    ObjectName,
    SelectorValue,
    Timestamp,
    Weight,
    list_map,
)

#: The level every node belongs to without being told: one NVSwitch fabric. Configured levels lie above it.
NVLINK_LEVEL = "nvlink"


class FeedRole(StrEnum):
    """Active feeds share the load by weight; a Standby one carries it only when no Active one is live."""

    ACTIVE = "Active"
    STANDBY = "Standby"


class ServiceState(StrEnum):
    """Active takes new gangs, Draining keeps the old ones only, Maintenance is to be emptied."""

    ACTIVE = "Active"
    DRAINING = "Draining"
    MAINTENANCE = "Maintenance"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class PowerFeed(ApiModel):
    """A power domain that something draws from."""

    power_domain: ObjectName = Field(description="Name of the PowerDomain that feeds it.")
    weight: Weight = Field(
        description="Share of the load, relative to the weights of the other live feeds in the same role. "
        "Two equal weights split it in halves."
    )
    role: FeedRole = Field(
        default=FeedRole.ACTIVE,
        description="Active feeds share the load by weight. The first live Standby feed carries all of it "
        "when no "
        "Active feed is live (static transfer switch, catcher).",
    )


class Condition(ApiModel):
    """One aspect of an object's state, as in every Kubernetes API."""

    type: str = Field(
        min_length=1, max_length=316, description="Name of the condition in CamelCase, for example Ready."
    )
    status: ConditionStatus = Field(description="Whether the condition holds: True, False or Unknown.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Cause of the last change as one word in CamelCase, for programs.",
    )
    message: str = Field(max_length=32_768, description="The cause in a sentence, for people.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    observed_generation: Annotated[Integer, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that the condition speaks of."
    )


class Status(ApiModel):
    """What every status begins with."""

    observed_generation: Annotated[Integer, Field(ge=0)] | None = Field(
        default=None, description="The metadata.generation that this status speaks of."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=32,
        json_schema_extra=list_map("type"),
        description="Conditions; Ready says whether Rackplane counts on the object, and if not, why.",
    )

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, or None."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


class FabricStep(ApiModel):
    """One step on the way from an NVLink domain outwards through the scale-out fabric."""

    level: LevelName = Field(description="Name of the level as configured, for example leaf or spine.")
    name: LabelValue = Field(description="Which one of that level, for example leaf-07.")


#: Labels a node must carry, all of them. Never empty: an empty selector would claim every node.
NodeSelector = Annotated[dict[str, SelectorValue], Field(min_length=1, max_length=16)]
