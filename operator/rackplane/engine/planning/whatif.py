"""Changes to a facility that are tried and not made: elements out of service or back, another temperature, a budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rackplane.engine.model import BudgetSpec, CoolingSpec, FacilitySpec
from rackplane.engine.physics.compiler import compile_facility
from rackplane.engine.state import State


@dataclass(frozen=True, slots=True)
class PowerChange:
    """A power element goes out of service, or comes back."""

    name: str
    online: bool = False


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A unit of a cooling zone goes out of service, or comes back."""

    zone: str
    unit: str
    online: bool = False


@dataclass(frozen=True, slots=True)
class RackChange:
    """A rack is switched off with all its nodes, or (``online``) takes gangs again."""

    name: str
    online: bool = False


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node is switched off, or is healthy again."""

    name: str
    online: bool = False


@dataclass(frozen=True, slots=True)
class DeratingChange:
    """The supply temperature leaves so much of the capacity of a cooling zone's units, in percent."""

    zone: str
    percent: int


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """A budget comes into force, in place of those of its name."""

    budget: BudgetSpec


Change = PowerChange | UnitChange | RackChange | NodeChange | DeratingChange | BudgetChange


def changed(spec: FacilitySpec, changes: Iterable[Change]) -> FacilitySpec:
    """The facility with these changes, later ones over earlier ones; what they name and it has not is ignored."""
    for change in changes:
        match change:
            case PowerChange(name, online):
                powers = (replace(p, online=online) if p.name == name else p for p in spec.powers)
                spec = replace(spec, powers=tuple(powers))
            case UnitChange(zone, unit, online):
                zones = (_with_unit(z, unit, online=online) if z.name == zone else z for z in spec.coolings)
                spec = replace(spec, coolings=tuple(zones))
            case DeratingChange(zone, percent):
                zones = (replace(z, derating_percent=percent) if z.name == zone else z for z in spec.coolings)
                spec = replace(spec, coolings=tuple(zones))
            case RackChange(name, online):
                racks = (
                    (
                        replace(r, schedulable=True)
                        if online
                        else replace(r, schedulable=False, overhead_watts=0)
                    )
                    if r.name == name
                    else r
                    for r in spec.racks
                )
                spec = replace(spec, racks=tuple(racks))
            case BudgetChange(budget):
                others = (b for b in spec.budgets if b.name != budget.name)
                spec = replace(spec, budgets=(*others, budget))
            case NodeChange():
                pass  # no part of the configuration
    return spec


def what_if(state: State, changes: Iterable[Change]) -> State:
    """A state of its own with the same nodes and bookings in the changed facility.

    Nodes that are switched off, or stand in a rack that is, draw nothing; bookings keep their slots on them.
    """
    changes = list(changes)
    after = State(compile_facility(changed(state.facility.spec, changes)))
    racks = {c.name: c.online for c in changes if isinstance(c, RackChange)}
    nodes = {c.name: c.online for c in changes if isinstance(c, NodeChange)}
    for node in state.nodes():
        online = nodes.get(node.name)
        if online is False or (node.rack is not None and racks.get(node.rack) is False):
            continue
        after.set_node(replace(node, healthy=True) if online else node)
        after.set_unmanaged(node.name, state.unmanaged_gpus(node.name))
    for name, (profile, gpus) in state.left_nodes().items():
        after.set_left(name, profile, gpus)
    keys = state.keys()
    for key in keys:
        placement = state.booking(key)
        if placement is None:
            continue
        after.book(key, placement, force=True, until=state.until(key))
        held = state.held(key)
        after.release(key, [slot for slot in range(len(placement.slots)) if slot not in held])
        after.can_be_capped(key, state.lowest(key))
    return after


def _with_unit(zone: CoolingSpec, unit: str, *, online: bool) -> CoolingSpec:
    return replace(zone, units=tuple(replace(u, online=online) if u.name == unit else u for u in zone.units))
