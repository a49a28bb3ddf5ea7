"""Why a gang waits, in parts: what its message says in a sentence."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rackplane.api.base import ApiModel, Count, Flag, Line, Percent, Text, Timestamp, Watts

#: Kinds and causes are plain text: a status written by a newer version must still be readable.


class FailingDomains(ApiModel):
    """How many domains fail first on what; what is absent is none."""

    nodes: Count | None = Field(default=None, description="Too few free nodes.")
    power: Count | None = Field(
        default=None, description="A limit of a power domain, of a rack, or of a rack's feed."
    )
    budget: Count | None = Field(default=None, description="A PowerBudget.")
    liquid: Count | None = Field(default=None, description="Liquid cooling.")
    air: Count | None = Field(default=None, description="Air cooling.")
    profile: Count | None = Field(default=None, description="No rack there has the power profile.")


class FailingLimits(ApiModel):
    """Domains that fail on power, by the kind of limit; what is absent is none."""

    continuous: Count | None = Field(default=None, description="Continuous rating of a power domain.")
    peak: Count | None = Field(default=None, description="Peak limit of a power domain.")
    rack: Count | None = Field(default=None, description="What a rack may draw.")
    rack_peak: Count | None = Field(default=None, description="What a rack may draw at peak.")
    feed: Count | None = Field(default=None, description="What a rack may draw over one of its feeds.")


class ExplainedLevel(ApiModel):
    """One fabric level that was tried."""

    level: Line = Field(description="The level; facility is the whole of it.")
    domains: Count = Field(description="Domains of the level that have such nodes at all.")
    failing: FailingDomains = Field(description="How many of them fail on what.")
    power_limits: FailingLimits | None = Field(
        default=None, description="Those that fail on power, by the kind of limit."
    )
    after_loss: Count | None = Field(
        default=None, description="Those that would fit were it not for the loss of one element."
    )


class LimitedElement(ApiModel):
    """Something with a limit, and watts."""

    kind: Line = Field(description="PowerDomain, Rack, CoolingZone or PowerBudget.")
    name: Line = Field(description="Its name.")
    feed: Line | None = Field(
        default=None, description="For a rack's feed: the power domain at its other end."
    )
    watts: Watts = Field(description="Watts that are needed there.")
    peak: Flag | None = Field(default=None, description="True if only its peak limit lacks them.")


class NamedObject(ApiModel):
    """An object by kind and name."""

    kind: Line = Field(description="Rack, NVLinkDomain or Node.")
    name: Line = Field(description="Its name.")


class TightestLimit(ApiModel):
    """The limit that is furthest exceeded in the domain that is nearest to taking the gang."""

    level: Line = Field(description="Level of that domain.")
    domain: Line = Field(description="The domain that this speaks of.")
    kind: Line = Field(description="What is limited: PowerDomain, Rack, CoolingZone or PowerBudget.")
    name: Line = Field(description="Name of the limited object.")
    feed: Line | None = Field(
        default=None, description="For the limit of a rack's feed: the power domain at its other end."
    )
    peak: Flag | None = Field(default=None, description="True for a limit on peak draw.")
    lost: Line | None = Field(
        default=None, description="The power domain whose loss is looked at; absent in the normal state."
    )
    out_of_service: Annotated[tuple[Line, ...], Field(max_length=64)] | None = Field(
        default=None, description="Elements out of service, with which that loss would be the second."
    )
    load_watts: Watts = Field(description="Load of the limited object with the gang there.")
    limit_watts: Watts = Field(description="Its limit.")
    over_watts: Watts = Field(description="By how much the load is above the limit.")
    needed_watts: Watts = Field(
        description="What the gang draws at least, by the limit's own measure: nominal or peak watts, or heat."
    )
    added_watts: Watts = Field(description="What of it comes to the limited object at least.")
    starts_at: Timestamp | None = Field(default=None, description="When a budget starts that is to come.")
    ends_at: Timestamp | None = Field(default=None, description="When a budget ends.")


class GangRelief(ApiModel):
    """One thing that would help."""

    type: Line = Field(
        description="Profile, Level, EarlierEnd, GangEnd, BudgetEnd, Nodes, Return, Watts, FewerSlots or Change."
    )
    message: Text = Field(description="The same in a sentence.")
    now: Flag = Field(
        description="True if it was tried, and the gang would start at once. False if it only removes what can "
        "never fit."
    )
    elements: Annotated[tuple[LimitedElement, ...], Field(max_length=16)] | None = Field(
        default=None, description="Watts: where they have to be freed, or the limit raised."
    )
    profile: Line | None = Field(default=None, description="Profile: the power profile that fits.")
    slowdown_percent: Percent | None = Field(
        default=None, description="Profile: the slowdown against the profile that is asked for."
    )
    gangs: Annotated[tuple[Line, ...], Field(max_length=16)] | None = Field(
        default=None, description="GangEnd: the gangs, as namespace/name."
    )
    returns: Annotated[tuple[NamedObject, ...], Field(max_length=256)] | None = Field(
        default=None, description="Return: what has to come back into service."
    )
    domain: Line | None = Field(default=None, description="Nodes: the domain in which to free them.")
    level: Line | None = Field(default=None, description="Level: the level to require; absent for none.")
    slots: Count | None = Field(
        default=None, description="FewerSlots: how many to ask for. Nodes: how many to free."
    )
    at: Timestamp | None = Field(
        default=None,
        description="EarlierEnd: the time to be over by. GangEnd: when the last is expected to end. BudgetEnd: when "
        "the budget ends.",
    )


class Explanation(ApiModel):
    """Why the gang waits, in parts."""

    cause: Line = Field(description="nodes, power, budget, liquid, air or profile.")
    levels: tuple[ExplainedLevel, ...] = Field(
        default=(), max_length=32, description="What fails at each level that was tried, the nearest first."
    )
    tightest: TightestLimit | None = Field(
        default=None, description="The limit that stands in its way; absent if it is nodes."
    )
    reliefs: tuple[GangRelief, ...] = Field(
        default=(), max_length=16, description="What would help, the cheapest first."
    )
