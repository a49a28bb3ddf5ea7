"""Whether admissions may count on emergency ratings: what must happen after a loss is done within their seconds.

After a loss an element carries up to its emergency rating for some seconds, if within them caps bring its load back
under the continuous rating. Three things must hold for that (DESIGN.md, 5): caps are confirmed by somebody, the
measured 99th percentile of that and a margin lie within the seconds, and what is left of the load once every gang is
capped that may be is within the continuous rating. The last is a limit of its own in the engine (`Facility.capped`).
Stops are not counted: nobody has measured how long pods take to go.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from rackplane.api.gang import Disruption
from rackplane.api.power_domain import PowerDomain
from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.core.gangs.statuses import condition
from rackplane.core.settings import Confirmation, Shedding
from rackplane.core.shedding.terms import is_ending, takes_caps
from rackplane.core.site.actuation import ENOUGH
from rackplane.core.world import World
from rackplane.engine.shedding.ways import lowest_profile

__all__ = ["EMERGENCY_RATING_USED", "emergency_judgement", "follow_measurements", "mark_gangs"]

EMERGENCY_RATING_USED: Final = "EmergencyRatingUsed"
"""Type of the condition of a power domain with an emergency rating, where admissions may count on those."""


def follow_measurements(world: World) -> None:
    """Let the facility be compiled with the emergency ratings that may be counted on now, and without all others."""
    usable: frozenset[str] = frozenset()
    if world.settings.emergency_admission:
        rated = [d for d in world.catalog.current(PowerDomain).values() if d.spec.emergency]
        world.too_slow_at.update((d.name, world.now) for d in rated if _too_slow(world, d))
        usable = frozenset(d.name for d in rated if not _obstacle(world, d))
    if usable != world.catalog.emergency:
        world.catalog.emergency = usable
        world.facility_changed()


def mark_gangs(world: World) -> None:
    """Tell the engine which gangs can be capped after a loss, and how low."""
    state = world.state
    if state is None or not state.facility.counts_caps:
        return
    # Whoever confirms a cap there may be gone with the node.
    unsure = {key for name in world.losses.nodes() for key in world.gangs_on(name)}
    for record in world.gangs.values():
        if record.decision is None:
            continue
        key = booking_key(record.key)
        if record.key in unsure or not _gives_way(world, record):
            state.can_be_capped(key, None)
        elif state.lowest(key) is None and (lowest := lowest_profile(state, key)) is not None:
            state.can_be_capped(key, lowest)
            world.version += 1  # there may be room for others now


def emergency_judgement(world: World, name: str) -> Iterator[dict[str, Any]]:
    """The condition of a power domain that has an emergency rating."""
    domain = world.catalog.get(PowerDomain, name)
    if not world.settings.emergency_admission or domain is None or domain.spec.emergency is None:
        return
    reason, text = _obstacle(world, domain) or ("InTime", "caps are in force in time after a loss")
    used = reason == "InTime"
    text = text if used else f"a loss must fit the continuous rating: {text}"
    yield condition(EMERGENCY_RATING_USED, true=used, reason=reason, message=text, now=world.now)


def _obstacle(world: World, domain: PowerDomain) -> tuple[str, str] | None:
    """Why a loss must fit the element's continuous rating: a reason and its words; None if it need not."""
    s, rating = world.settings, domain.spec.emergency
    assert rating is not None
    if s.observe or s.shedding is Shedding.OFF:
        return (
            "NobodyIsCapped",
            "the operator caps no gang; set mode to Active and shedding.mode to Cap or Stop",
        )
    if s.confirmation is Confirmation.NONE:
        return "NotConfirmed", "nobody says when caps are in force; set shedding.confirmation"
    if world.confirmations.times.measured_p99() is None:
        text = f"how long caps take is known after {ENOUGH} that were confirmed or late, and there were fewer"
        return "TooFewMeasured", text
    slow, at = _too_slow(world, domain), world.too_slow_at.get(domain.name, -math.inf)
    if not slow and world.now < at + s.restore_seconds:
        # A percentile near the limit must not change the facility with every cap.
        slow = f"caps were too slow less than {s.restore_seconds:,.0f} s ago"
    return ("TooSlow", slow) if slow else None


def _too_slow(world: World, domain: PowerDomain) -> str:
    """How caps are slower than the emergency rating allows, in words; empty if they are not, or that is not known."""
    p99, margin = world.confirmations.times.measured_p99(), world.settings.emergency_margin_seconds
    assert domain.spec.emergency is not None
    allowed = domain.spec.emergency.seconds
    if p99 is None or p99 + margin <= allowed:
        return ""
    if math.isinf(p99):
        return "more than one cap in a hundred is not confirmed in time"
    took = f"caps take {math.ceil(p99):,} s (99th percentile)"
    return f"{took}, with a margin of {margin:,.0f} s longer than the {allowed:,} s of the emergency rating"


def _gives_way(world: World, record: GangRecord) -> bool:
    """Whether the gang would be capped after a loss, as far as is known now."""
    if record.gang is None or is_ending(record) or not takes_caps(world, record):
        return False
    may_be = {Disruption.SHEDDABLE, Disruption.CHECKPOINTABLE}
    return record.gang.spec.disruption in may_be or world.settings.shed_protected
