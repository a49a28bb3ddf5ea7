"""Cooling: what a zone can carry away, and which zones a rack's heat reaches (DESIGN.md, section 5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rackplane.engine.model import CoolingSpec, CoolingUnit
from rackplane.engine.physics.power import shares


def running_units(zone: CoolingSpec, live: Collection[str]) -> list[CoolingUnit]:
    """Units that are online and, where their feeds are modelled, fed by a live element."""
    return [u for u in zone.units if u.online and (not u.feeds or shares(u.feeds, live))]


def usable_watts(zone: CoolingSpec, live: Collection[str]) -> float:
    """Heat the zone can promise: the smallest ``needed_units`` of its running units, derated.

    The smallest, because redundancy is a promise about any loss: which unit fails next is not ours to choose.
    """
    capacities = sorted(u.capacity_watts for u in running_units(zone, live))
    return sum(capacities[: zone.needed_units]) * zone.derating_percent / 100


def heat_path(zone: str, zones: Mapping[str, CoolingSpec]) -> list[str]:
    """The zone and every zone above it, each once: all of the heat passes through all of them.

    Safe on cycles.
    """
    seen: dict[str, None] = {}
    stack = [zone]
    while stack:
        name = stack.pop()
        if name in seen or name not in zones:
            continue
        seen[name] = None
        stack.extend(zones[name].parents)
    return list(seen)
