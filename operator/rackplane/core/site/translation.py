"""Valid facility objects as the engine takes them, field by field."""

from __future__ import annotations

from collections.abc import Iterable

from rackplane.api.common import PowerFeed, ServiceState
from rackplane.api.cooling_zone import CoolingZone, CoolingZoneSpec, UnitState
from rackplane.api.hardware_profile import HardwareProfile
from rackplane.api.maintenance import MaintenanceWindow
from rackplane.api.power_domain import PowerDomain, PowerState
from rackplane.api.rack import Rack, RackFeed
from rackplane.engine.model import (
    CoolingSpec,
    CoolingUnit,
    Feed,
    Maintenance,
    Medium,
    Modules,
    NodeType,
    NvlinkScope,
    PowerCap,
    PowerSpec,
    RackSpec,
    Role,
)

__all__ = ["cooling_spec", "derating_percent", "node_type", "planned", "power_spec", "rack_spec"]


def node_type(profile: HardwareProfile) -> NodeType:
    """A node type with all its caps, MaxP among them, highest first."""
    spec = profile.spec
    return NodeType(
        name=profile.name,
        resource=spec.resource_name,
        gpus_per_node=spec.gpus_per_node,
        idle_watts=spec.idle_watts,
        max_watts=spec.max_watts,
        typical_utilization_percent=spec.typical_utilization_percent,
        peak_percent=spec.peak_percent,
        liquid_heat_percent=spec.liquid_heat_percent,
        nvlink_scope=NvlinkScope(spec.nvlink_scope.value),
        caps=tuple(
            PowerCap(p.name, p.node_watts, p.relative_performance_percent)
            for p in spec.effective_power_profiles()
        ),
    )


def _feed(feed: PowerFeed) -> Feed:
    limit = feed.limit_watts if isinstance(feed, RackFeed) else None
    return Feed(feed.power_domain, feed.weight, Role(feed.role.value), limit)


def planned(windows: Iterable[MaintenanceWindow], now: float) -> tuple[bool, tuple[Maintenance, ...]]:
    """Whether one of these is on at `now`, in seconds since the epoch, and those that are to come."""
    spans = [Maintenance(w.start.timestamp(), w.end.timestamp(), w.reason or "") for w in windows]
    is_on = any(w.starts_at <= now < w.ends_at for w in spans)
    return is_on, tuple(sorted((w for w in spans if w.starts_at > now), key=lambda w: w.starts_at))


def rack_spec(
    rack: Rack, now: float, *, retired: bool = False, unfed: Iterable[Maintenance] = ()
) -> RackSpec:
    """A rack; one that is not Active, in maintenance at `now`, or retired, takes no gangs.

    Args:
        unfed: when work on what feeds it will leave it without power.
    """
    is_out, to_come = planned(rack.spec.maintenance, now)
    to_come = tuple(sorted((*to_come, *unfed), key=lambda w: w.starts_at))
    spec = rack.spec
    return RackSpec(
        name=rack.name,
        node_type=spec.profile,
        overhead_watts=spec.overhead_watts,
        limit_watts=spec.limit_watts,
        feeds=tuple(_feed(f) for f in spec.feeds),
        liquid=spec.cooling.liquid if spec.cooling else None,
        air=spec.cooling.air if spec.cooling else None,
        schedulable=spec.state is ServiceState.ACTIVE and not is_out,
        maintenance=to_come,
        peak_limit_watts=spec.peak_limit_watts,
        retired=retired,
    )


def power_spec(domain: PowerDomain, *, retired: bool = False, in_emergency: bool = False) -> PowerSpec:
    """An element of the power path; one that is not Online carries nothing.

    Args:
        in_emergency: its emergency rating may be counted on.
    """
    spec = domain.spec
    modules = spec.redundancy
    return PowerSpec(
        name=domain.name,
        rated_watts=spec.rated_watts,
        continuous_percent=spec.continuous_percent,
        peak_limit_watts=spec.peak_limit_watts,
        base_load_watts=spec.base_load_watts,
        efficiency_basis_points=spec.efficiency_basis_points,
        parents=tuple(_feed(f) for f in spec.parents),
        feed_tag=spec.feed_tag,
        survivable=spec.survivable,
        modules=Modules(modules.installed, modules.needed, modules.module_watts, modules.online)
        if modules
        else None,
        online=spec.state is PowerState.ONLINE,
        retired=retired,
        emergency_percent=spec.emergency.percent if in_emergency and spec.emergency else None,
    )


def cooling_spec(zone: CoolingZone, *, retired: bool = False) -> CoolingSpec:
    """A cooling loop at its present supply temperature."""
    spec = zone.spec
    return CoolingSpec(
        name=zone.name,
        medium=Medium(spec.medium.value),
        units=tuple(
            CoolingUnit(
                u.name,
                u.capacity_watts,
                u.draw_watts,
                tuple(_feed(f) for f in u.feeds),
                u.state is UnitState.ONLINE,
            )
            for u in spec.units
        ),
        needed_units=spec.needed_units,
        derating_percent=derating_percent(spec),
        parents=spec.parents,
        retired=retired,
    )


def derating_percent(spec: CoolingZoneSpec) -> int:
    """What the supply temperature leaves of each unit's capacity, in percent.

    A straight line between the points of the curve, the first value below them, 0 above; 100 without a curve. With a
    curve and no temperature, which the API server refuses, the worst value of the curve.
    """
    if spec.derating_curve and spec.supply_celsius is None:
        return min(point.percent for point in spec.derating_curve)
    return spec.derating_percent()
