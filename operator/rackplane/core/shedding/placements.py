"""A gang's placement at another power profile."""

from __future__ import annotations

from dataclasses import replace

from rackplane.core.gangs.decisions import booking_key
from rackplane.core.gangs.record import GangRecord
from rackplane.engine.model import Placement
from rackplane.engine.physics.draw import find_cap
from rackplane.engine.state import State

__all__ = ["POWER_CAPPED", "at_profile", "speed_at"]

POWER_CAPPED = "PowerCapped"
"""Type of the condition of a gang that runs at a lower profile than it was given."""


def at_profile(
    state: State, record: GangRecord, placement: Placement, profile: str, percent: int
) -> Placement:
    """The placement at that profile, with what the gang then draws and how fast it is, in percent."""
    drawn = state.increments(state.held_gpus(booking_key(record.key)), profile, placement.metered)
    return replace(
        placement,
        power_profile=profile,
        nominal_watts=drawn.nominal_watts,
        peak_watts=drawn.peak_watts,
        liquid_watts=drawn.liquid_watts,
        air_watts=drawn.air_watts,
        relative_performance_percent=percent,
    )


def speed_at(state: State, key: str, profile: str) -> int:
    """Speed at that profile in percent, that of the slowest node type."""
    types = {t.name: t for node in state.held_gpus(key) if (t := state.node_type(node)) is not None}
    caps = [find_cap(t, profile) for t in types.values()]
    return min((cap.relative_performance_percent for cap in caps if cap is not None), default=100)
