"""What a drill changes, as it is written: powerdomain/ups-a, coolingzone/row-1/cdu-1, coolingzone/row-1=45C."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from rackplane.cli.errors import CommandError, Exit, nearest

if TYPE_CHECKING:
    from rackplane.core.machine import Machine
    from rackplane.engine.planning.whatif import Change

__all__ = ["FORMS", "changes", "emergency_ratings"]

FORMS: Final = """\
what to lose or restore:
  powerdomain/ups-a              an element of the power path
  coolingzone/row-1/cdu-1        one unit of a cooling loop; without a unit, all of them
  coolingzone/row-1=45C          another supply temperature, for its derating curve
  rack/r1  node/r1-01            switched off; restored: in service again
  powerbudget/order              in force now, with its limit or another: powerbudget/order=900kW
"""

_ALIASES: Final = {
    "powerdomain": "powerdomain",
    "powerdomains": "powerdomain",
    "pd": "powerdomain",
    "coolingzone": "coolingzone",
    "coolingzones": "coolingzone",
    "cz": "coolingzone",
    "rack": "rack",
    "racks": "rack",
    "rk": "rack",
    "node": "node",
    "nodes": "node",
    "no": "node",
    "powerbudget": "powerbudget",
    "powerbudgets": "powerbudget",
    "pb": "powerbudget",
}
_KINDS: Final = tuple(dict.fromkeys(_ALIASES.values()))
_WATTS: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>W|kW|MW)")
_UNITS: Final = {"W": 1, "kW": 1_000, "MW": 1_000_000}
#: Names that are listed where none is near to what was written.
_FEW: Final = 8
_CELSIUS: Final = re.compile(r"(?P<number>-?\d+)C?")


def changes(machine: Machine, items: Sequence[str], *, online: bool) -> list[Change]:
    """The changes that the words mean.

    Raises:
        CommandError: no such form, or nothing of that name.
    """
    return [change for item in items for change in _changes(machine, item, online=online)]


def _changes(machine: Machine, item: str, *, online: bool) -> Iterable[Change]:
    from rackplane.engine.planning import whatif

    assert machine.state is not None  # the source has listed everything
    facility = machine.state.facility
    path, _, value = item.partition("=")
    word, *parts = path.split("/")
    kind = _ALIASES.get(word.lower())
    if kind is None:
        raise CommandError(
            f"{item}: {word} is none of {', '.join(_KINDS)}{nearest(word, _KINDS)}", code=Exit.USAGE
        )
    if not 1 <= len(parts) <= (2 if kind == "coolingzone" else 1) or not all(parts):
        raise CommandError(
            f"{item}: write {kind}/NAME" + ("/UNIT" if kind == "coolingzone" else ""), code=Exit.USAGE
        )
    name = parts[0]
    if value and kind not in ("coolingzone", "powerbudget"):
        raise CommandError(f"{item}: a {kind} takes no value", code=Exit.USAGE)
    match kind:
        case "powerdomain":
            _known(item, "PowerDomain", name, facility.powers)
            return [whatif.PowerChange(name, online)]
        case "rack":
            _known(item, "Rack", name, facility.rack_index)
            return [whatif.RackChange(name, online)]
        case "node":
            _known(item, "node of a known rack", name, {n.name for n in machine.state.nodes()})
            return [whatif.NodeChange(name, online)]
        case "powerbudget":
            return [_budget(machine, item, name, value)]
    _known(item, "CoolingZone", name, facility.coolings)
    if value:
        return [_warmer(machine, item, name, value)]
    units = [unit.name for unit in facility.coolings[name].units]
    if len(parts) == 2:
        _known(item, f"unit of cooling zone {name}", parts[1], units)
        units = [parts[1]]
    return [whatif.UnitChange(name, unit, online) for unit in units]


def _known(item: str, kind: str, name: str, names: Iterable[str]) -> None:
    listed = sorted(names)
    if name not in listed:
        few = (
            f"; there {'is' if len(listed) == 1 else 'are'} {', '.join(listed)}"
            if 0 < len(listed) <= _FEW
            else ""
        )
        raise CommandError(f"{item}: there is no {kind} {name}{nearest(name, listed) or few}", code=Exit.NO)


def _warmer(machine: Machine, item: str, name: str, value: str) -> Change:
    from rackplane.api.cooling_zone import CoolingZone
    from rackplane.core.site.translation import derating_percent
    from rackplane.engine.planning.whatif import DeratingChange

    matched = _CELSIUS.fullmatch(value)
    if matched is None:
        raise CommandError(f"{item}: {value} is no temperature such as 45C", code=Exit.USAGE)
    zone = machine.world.catalog.get(CoolingZone, name)
    if zone is None or not zone.spec.derating_curve:
        raise CommandError(
            f"{item}: CoolingZone {name} has no spec.deratingCurve to read the temperature by",
            code=Exit.USAGE,
        )
    celsius = int(matched["number"])
    return DeratingChange(name, derating_percent(zone.spec.model_copy(update={"supply_celsius": celsius})))


def _budget(machine: Machine, item: str, name: str, value: str) -> Change:
    from rackplane.api.power_budget import BudgetScope, PowerBudget
    from rackplane.engine.model import BudgetSpec
    from rackplane.engine.planning.whatif import BudgetChange

    catalog = machine.world.catalog
    _known(item, "PowerBudget", name, [n for kind, n in catalog.objects() if kind == "PowerBudget"])
    budget = catalog.get(PowerBudget, name)
    if budget is None:
        raise CommandError(f"{item}: PowerBudget {name} has errors; rackplane validate shows them")
    targets = budget.spec.targets
    if not (targets.power_domains or targets.feed_tags):
        raise CommandError(
            f"{item}: it bounds queues or namespaces, not elements of the power path", code=Exit.USAGE
        )
    limit = budget.spec.limit_watts
    if value:
        matched = _WATTS.fullmatch(value)
        if matched is None:
            raise CommandError(f"{item}: {value} is no power such as 900kW or 1.2MW", code=Exit.USAGE)
        limit = int(float(matched["number"]) * _UNITS[matched["unit"]])
    return BudgetChange(
        BudgetSpec(
            name,
            targets.power_domains,
            targets.feed_tags,
            limit,
            always=budget.spec.applies_to is BudgetScope.ALWAYS,
        )
    )


def emergency_ratings(machine: Machine) -> dict[str, tuple[int, int]]:
    """Power domains that stand more for a short time: name -> (watts, seconds)."""
    from rackplane.api.power_domain import PowerDomain

    catalog = machine.world.catalog
    found = {}
    for kind, name in catalog.objects():
        domain = catalog.get(PowerDomain, name) if kind == "PowerDomain" else None
        if domain is not None and domain.spec.emergency is not None:
            rating = domain.spec.emergency
            found[name] = (domain.spec.rated_watts * rating.percent // 100, rating.seconds)
    return found
