"""Why a request is refused, and what would help: the parts behind the sentence, for programs.

Watts are whole watts, rounded up where they are a shortage: what is named is enough.  Times are seconds on the caller's
clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ElementKind(StrEnum):
    """What has a limit, or is out of service: the kind of its custom resource, or a Node."""

    POWER_DOMAIN = "PowerDomain"
    RACK = "Rack"
    COOLING_ZONE = "CoolingZone"
    POWER_BUDGET = "PowerBudget"
    NVLINK_DOMAIN = "NVLinkDomain"
    NODE = "Node"


class ReliefKind(StrEnum):
    """What would help, the cheapest first."""

    PROFILE = "Profile"
    """Run at a lower power profile."""
    LEVEL = "Level"
    """Require another fabric level, or none."""
    EARLIER_END = "EarlierEnd"
    """Expect to be over before a coming budget starts."""
    GANG_END = "GangEnd"
    """Wait until running gangs end."""
    BUDGET_END = "BudgetEnd"
    """Wait until a budget ends."""
    NODES = "Nodes"
    """Free nodes in one domain."""
    RETURN = "Return"
    """Bring racks, NVLink domains or nodes back into service."""
    WATTS = "Watts"
    """Free watts on elements, or raise their limits by so much."""
    FEWER_SLOTS = "FewerSlots"
    """Ask for less."""
    CHANGE = "Change"
    """Correct the request or the facility: only the sentence says how."""


@dataclass(frozen=True, slots=True)
class ElementWatts:
    """Watts on one limited element; ``feed`` is the power domain of a feed's limit, else ""."""

    kind: ElementKind
    name: str
    watts: int
    feed: str = ""
    peak: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """An object by kind and name."""

    kind: ElementKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightest:
    """The limit that is furthest exceeded with the gang in the domain nearest to taking it."""

    level: str
    """Level of the domain as a reader says it: "NVLink domain", "leaf", "facility"."""
    domain: str
    """The domain that this speaks of; "the facility" for all of it."""
    kind: ElementKind
    name: str
    feed: str = ""
    """For a feed's limit, the power domain at its other end; else ""."""
    peak: bool = False
    """Whether the limit is on peak draw; else it is on nominal draw or heat."""
    lost: str = ""
    """The power domain whose loss is looked at; "" in the normal state."""
    out_of_service: tuple[str, ...] = ()
    """Elements out of service that share redundancy with ``lost``: its loss would be the second."""
    load_watts: int
    """Load of the limited element with the gang there."""
    limit_watts: int
    normal_limit_watts: int
    """Its limit in the normal state: higher than ``limit_watts`` where the loss takes capacity away."""
    over_watts: int
    needed_watts: int
    """What the gang draws, by the limit's own measure: nominal or peak watts, or heat."""
    added_watts: int
    """What of it comes to the limited element at least: its share of the feeds, with the losses on the way."""
    starts_at: float | None = None
    ends_at: float | None = None
    """When a budget starts (None: it is in force) and ends (None: not known to end)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """One thing that would help, in words and for programs.  Fields that its kind does not use are empty.

    ``now``: it has been tried on a copy of the state, and with it the gang starts at once.  Without it the relief
    only removes what can never fit.
    """

    kind: ReliefKind
    message: str
    now: bool = True
    elements: tuple[ElementWatts, ...] = ()
    profile: str = ""
    slowdown_percent: int = 0
    gangs: tuple[str, ...] = ()
    """Keys as booked."""
    returns: tuple[Element, ...] = ()
    domain: str = ""
    level: str = ""
    """The level to require instead; "" for none."""
    slots: int = 0
    """For FEWER_SLOTS the slots to ask for; for NODES the nodes to free."""
    at: float | None = None
    """For EARLIER_END the time to be over by; for GANG_END and BUDGET_END when the last of them is expected to end."""
