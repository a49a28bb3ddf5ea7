"""What the engine is told and what it answers: plain, frozen values.

Watts, GPUs, percentages and weights are integers.  Nothing here computes: a wrong value is reported by
:func:`engine.physics.facility.compile_facility` as a :class:`Problem`, so building these never raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rackplane.engine.nodes.masks import NodeMask
from rackplane.engine.reasons import Relief, Tightest
from rackplane.engine.values import dataclass

NVLINK = "nvlink"
"""Name of the level that is always there: one NVSwitch fabric.  The facility's own levels lie above and below it."""


Metered = tuple[tuple[str, int], ...]
"""By node type, the watts that a whole node of a gang is known to draw at most; other types are not known."""


class EngineError(Exception):
    """Root of everything the engine raises."""


class BookingError(EngineError):
    """A booking that would hold a GPU, or a key, twice."""


class InvariantViolation(EngineError):
    """The incremental state differs from a recomputation: a bug of ours, never bad input."""


class Role(StrEnum):
    """How a feed takes part: Active feeds share the load; the first live Standby takes all if no Active is live."""

    ACTIVE = "Active"
    STANDBY = "Standby"


class Medium(StrEnum):
    """What carries the heat away."""

    LIQUID = "Liquid"
    AIR = "Air"


class NvlinkScope(StrEnum):
    """Where a node type's NVLink domain ends: in the node, at a label, at an NVLinkDomain object, or nowhere."""

    NODE = "Node"
    LABEL = "Label"
    OBJECT = "Object"
    NONE = "None"


class Cause(StrEnum):
    """Why a part of the facility cannot take a request."""

    NODES = "nodes"
    POWER = "power"
    BUDGET = "budget"
    LIQUID = "liquid"
    AIR = "air"
    PROFILE = "profile"


class RefusalKind(StrEnum):
    """UNPLACEABLE is proved; NOT_FOUND means only that the search ended without an answer."""

    UNPLACEABLE = "Unplaceable"
    NOT_FOUND = "NotFound"


@dataclass(frozen=True, slots=True)
class PowerCap:
    """A power profile of a node type: what a whole node may draw (W), and the speed that is left (percent)."""

    name: str
    node_watts: int
    relative_performance_percent: int = 100


@dataclass(frozen=True, slots=True)
class NodeType:
    """A kind of node.  ``idle_watts`` is drawn by every powered node; ``peak_percent`` relates peak to cap."""

    name: str
    resource: str
    gpus_per_node: int
    idle_watts: int
    max_watts: int
    typical_utilization_percent: int = 100
    peak_percent: int = 100
    liquid_heat_percent: int = 0
    nvlink_scope: NvlinkScope = NvlinkScope.NONE
    caps: tuple[PowerCap, ...] = ()


@dataclass(frozen=True, slots=True)
class Feed:
    """One edge upwards in the power graph.

    ``limit_watts`` bounds what a rack draws over it (None: no own bound).
    """

    power: str
    weight: int = 1
    role: Role = Role.ACTIVE
    limit_watts: int | None = None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A stretch of time, in seconds since the epoch, in which what it is planned for takes no gangs."""

    starts_at: float
    ends_at: float
    reason: str = ""

    def meets(self, at: float | None, until: float | None) -> bool:
        """Whether something runs into it that runs from ``at`` (None: now, before it) to ``until`` (None: for ever)."""
        return (until is None or self.starts_at < until) and (at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class RackSpec:
    """A rack.  ``limit_watts`` bounds its nominal draw, ``peak_limit_watts`` (None: the same) its peak draw.

    ``schedulable`` is False while it drains or is maintained.  ``retired``: it is being deleted or can no longer be
    read; nothing may be placed there, but what runs there is still counted on everything above it.
    """

    name: str
    node_type: str
    overhead_watts: int
    limit_watts: int
    feeds: tuple[Feed, ...]
    liquid: str | None = None
    air: str | None = None
    schedulable: bool = True
    peak_limit_watts: int | None = None
    retired: bool = False
    maintenance: tuple[Maintenance, ...] = ()
    """That is to come."""


@dataclass(frozen=True, slots=True)
class Modules:
    """Redundant modules of a power element; ``online`` None means all installed ones."""

    installed: int
    needed: int
    module_watts: int
    online: int | None = None


@dataclass(frozen=True, slots=True)
class PowerSpec:
    """An element of the power path.  Ratings bound its output; no parents makes it a source.

    ``retired``: it is being deleted or can no longer be read; it still carries what it carries, and may carry nothing
    more.  ``emergency_percent``, of its rating, is what it carries after a loss until gangs are capped; None: it is not
    to be counted on.
    """

    name: str
    rated_watts: int
    continuous_percent: int = 100
    peak_limit_watts: int | None = None
    base_load_watts: int = 0
    efficiency_basis_points: int = 10_000
    parents: tuple[Feed, ...] = ()
    feed_tag: str | None = None
    survivable: bool = False
    modules: Modules | None = None
    online: bool = True
    retired: bool = False
    emergency_percent: int | None = None


@dataclass(frozen=True, slots=True)
class CoolingUnit:
    """One unit of a zone.  Without feeds its own supply is not modelled; with feeds it needs one that is live."""

    name: str
    capacity_watts: int
    draw_watts: int = 0
    feeds: tuple[Feed, ...] = ()
    online: bool = True


@dataclass(frozen=True, slots=True)
class CoolingSpec:
    """A cooling loop.  ``derating_percent`` is what the supply temperature leaves of each unit's capacity.

    ``retired``: it is being deleted or can no longer be read; it takes no more heat.
    """

    name: str
    medium: Medium
    units: tuple[CoolingUnit, ...]
    needed_units: int = 1
    derating_percent: int = 100
    parents: tuple[str, ...] = ()
    retired: bool = False


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """A power budget; the topmost of its targets are summed, nominal watts.

    ``always`` extends it from the normal state to every contingency.  ``starts_at`` (seconds, on the caller's clock)
    is None for one that is in force; a coming one bounds what still runs then: bookings and requests that are not
    expected to end before.  ``ends_at`` is for people.
    """

    name: str
    powers: tuple[str, ...]
    feed_tags: tuple[str, ...]
    limit_watts: int
    always: bool = False
    starts_at: float | None = None
    ends_at: float | None = None


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node.  ``domain`` is its NVLink domain; ``fabric`` its (level, name) pairs above it, innermost first.

    ``inner`` are its (level, name) pairs below the domain: parts of one NVSwitch fabric, innermost first.
    """

    name: str
    rack: str | None
    domain: str | None = None
    fabric: tuple[tuple[str, str], ...] = ()
    healthy: bool = True
    inner: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """Policy of one NVLink domain: ``spare_nodes`` idle nodes are held back from placement, those away among them."""

    name: str
    schedulable: bool = True
    spare_nodes: int = 0
    maintenance: tuple[Maintenance, ...] = ()
    """That is to come."""


@dataclass(frozen=True, slots=True)
class FacilitySpec:
    """The whole facility as configured.  ``levels`` are innermost first; "nvlink" is implied below them.

    ``inner_levels`` lie below "nvlink", innermost first: sub-domains of one NVSwitch fabric.
    ``admit_after_loss``: while a survivable element is out of service, gangs may still be placed where only a second
    loss that shares its redundancy would exceed a limit.
    """

    node_types: tuple[NodeType, ...] = ()
    racks: tuple[RackSpec, ...] = ()
    powers: tuple[PowerSpec, ...] = ()
    coolings: tuple[CoolingSpec, ...] = ()
    budgets: tuple[BudgetSpec, ...] = ()
    domains: tuple[DomainSpec, ...] = ()
    levels: tuple[str, ...] = ()
    admit_after_loss: bool = False
    inner_levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A configuration error: the object (kind, name), its field, what is wrong and what to do, in plain words."""

    kind: str
    name: str
    field: str
    message: str
    remedy: str


class Beside(Protocol):
    """What groups of one gang leave each other on a node they share, by all that the engine does not know."""

    def slots(self, group: int, node: str, taken: tuple[int, ...]) -> int:
        """Slots of that group that the node still takes beside so many of each group."""
        ...


class Feeding(Protocol):
    """Where free GPUs keep what they need beside themselves (CPU, memory), by all that the engine does not know."""

    def slots(self, names: Sequence[str], free: NDArray[np.int64]) -> NDArray[np.int64]:
        """By node, the most slots with which no more of its GPUs stay free that nobody can use.

        Args:
            names: of the nodes.
            free: their free GPUs.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotGroup:
    """Slots of a gang that are alike, in a gang whose slots are not.

    ``capacity`` and ``segment_slots`` are as :class:`Request` has them, for this group alone.  ``name`` is for
    sentences.  A group without GPUs may go to every node that
    its mask allows.
    """

    slots: int
    gpus_per_slot: int
    resource: str
    name: str = ""
    segment_slots: int | None = None
    capacity: Mapping[str, int] | NodeMask | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A gang to place.

    ``capacity`` bounds the slots per node by all that the engine does not know (taints, selectors, CPU, memory):
    None is no further bound, a node that is absent from it takes none.  ``required`` and ``preferred`` name a
    level: "nvlink" or one of the facility's, above it or below.  Each run of ``segment_slots`` consecutive slots
    shares one NVLink domain, the last run may be short.  ``until`` is its expected end on the clock of
    ``BudgetSpec.starts_at``: coming budgets that start later do not bind it; None is no end.  ``at`` is when it would
    start, on the same clock: budgets that end by then do not bind it; None is now.  ``lasts``: seconds from its
    start to ``until`` if it says so itself, None if its end is only assumed.  ``spread``: as evenly
    as can be over what its level allows, instead of packed.

    ``groups`` are given where slots differ, two or more: the slots are then theirs, in that order, and ``slots``
    is their sum, ``gpus_per_slot`` the most of one, and ``segment_slots`` and ``capacity`` are the groups' own.
    ``beside`` is what groups leave each other on a node; None: GPUs apart they take nothing from each other.
    ``metered`` is by power profile: where such a gang has a node to itself, no more counts as its nominal draw.
    ``feeding`` is preferred to hold, where slots are alike and not to be spread; it never keeps a gang from a place,
    and two requests that differ in nothing else are equal.
    """

    slots: int
    gpus_per_slot: int
    resource: str
    required: str | None = None
    preferred: str | None = None
    segment_slots: int | None = None
    power_profile: str = "MaxP"
    strict: bool = False
    capacity: Mapping[str, int] | NodeMask | None = None
    until: float | None = None
    at: float | None = None
    lasts: float | None = None
    spread: bool = False
    groups: tuple[SlotGroup, ...] = ()
    beside: Beside | None = None
    metered: tuple[tuple[str, Metered], ...] = ()
    feeding: Feeding | None = field(default=None, compare=False)

    def metered_at(self, profile: str) -> Metered:
        """What is known of nodes that the gang has to itself at that power profile."""
        return next((metered for name, metered in self.metered if name == profile), ())


@dataclass(frozen=True, slots=True)
class Group:
    """A run of slots in one domain and one rack; a node appears once per slot.

    ``domain`` is "" where the node type has no NVLink domain beyond the node.
    """

    domain: str
    rack: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Considered:
    """One level that a search looked at: how many domains it has, and how many could take the gang.

    The whole gang, by nodes and by each rack's watts alone: limits that racks share may still be in the way.
    ``runner_up``: of domains of which more than one was searched, the best but the chosen one; "" if none was.
    """

    level: str
    domains: int
    fitting: int
    runner_up: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """An offer: the node of every slot, and the increments over idle that booking it reserves, in watts.

    ``slot_gpus`` are the GPUs of each slot where slots differ, else empty; ``gpus_per_slot`` is then the most of one.
    ``metered``: no more than that counts as the nominal draw of a node that it has to itself, at no profile.
    ``considered`` tells people how it was found, nearest level first, where the search says so.
    """

    slots: tuple[str, ...]
    groups: tuple[Group, ...]
    gpus_per_slot: int
    power_profile: str
    nominal_watts: int
    peak_watts: int
    liquid_watts: int
    air_watts: int
    relative_performance_percent: int = 100
    slot_gpus: tuple[int, ...] = ()
    metered: Metered = ()
    considered: tuple[Considered, ...] = field(default=(), compare=False, repr=False)

    def gpus_of(self, slot: int) -> int:
        """GPUs of one slot."""
        return self.slot_gpus[slot] if self.slot_gpus else self.gpus_per_slot

    @property
    def gpus(self) -> int:
        """GPUs of all slots."""
        return sum(self.slot_gpus) if self.slot_gpus else self.gpus_per_slot * len(self.slots)


@dataclass(frozen=True, slots=True)
class LevelCount:
    """How many domains of one level were examined, and how many failed first on which cause.

    ``limits`` counts those that failed on power by the kind of limit (a value of ``RowKind``), and ``after_loss`` those
    that failed on a limit that holds only after a loss.
    """

    level: str
    domains: int
    failing: Mapping[Cause, int] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    after_loss: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request cannot be placed now.

    ``message`` and ``relief`` are one plain sentence each; the rest is the same for programs.  ``reliefs`` are cheapest
    first, at most one of a kind, and ``relief`` is the first of them.
    """

    kind: RefusalKind
    cause: Cause
    counts: tuple[LevelCount, ...]
    message: str
    relief: str
    #: waiting will not help: not even an idle facility, as it stands, could take the request
    misfit: bool = False
    #: None where nodes or the request itself are the cause, and no limit
    tightest: Tightest | None = None
    reliefs: tuple[Relief, ...] = ()
