"""Who admits: ours, and three rules of others, as what their scheduler is told of the hall.

All run in the operator's own machine, so that placing, queueing and backfill are the same; the others see another
hall than there is, and react to nothing. What is exceeded is measured against the real one.

- **nameplate**: one sum over all nodes, each counted at its peak of 108 % of 6.6 kW, within the budget. No lower power
  profile, no UPS, no loops, no losses.
- **rack cap**: each rack may draw as many percent of its nameplate as the budget is of the hall's; gangs that do not
  fit so are capped to MaxLPS. No UPS, no loops, no losses. The sum keeps the budget by itself.
- **one tree**: what Slurm's HRES does with power (beta in 25.11): watts of nodes are summed up one tree, here rack, row
  and hall, under limits of each; the hall's is the budget, or three quarters of the UPS that are installed if that is
  less. No pairs of feeds, no losses, no cooling, no reaction: "running jobs are never affected".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from rackplane.api.base import API_VERSION
from rackplane.core import events as e
from rackplane.core.settings import Shedding
from rackplane.simulator.policies import Policy
from rackplane.simulator.site import Site
from tests.benchmarks.power.hall import NAMEPLATE, RACK, RACKS_OF_A_ROW

__all__ = ["RULES", "Rule"]

Body = Mapping[str, Any]
_AMPLE: Final = 10**10


@dataclass(frozen=True, slots=True)
class Rule:
    """One of those compared: the site that its machine sees, for a budget in watts, and the settings."""

    name: str
    sees: Callable[[Site, int], Site]
    policy: Policy


def _as(site: Site, told: Callable[[Body], Body], more: Mapping[tuple[str, str], Body] | None = None) -> Site:
    """The same site, but its machine hears of other objects, and of these more."""

    class Told(Site):
        @staticmethod
        def seen(body: Body, policy: Policy) -> Body:
            return told(body)

        def events(self, policy: Policy) -> list[e.Event]:
            heard = [e.FacilityChanged(*key, body) for key, body in (more or {}).items()]
            return [*heard, *Site.events(self, policy)]

    return Told(**{of.name: getattr(site, of.name) for of in fields(Site)})


def _with(body: Body, **spec: Any) -> Body:
    return {**body, "spec": {**body["spec"], **spec}}


def _loose(body: Body) -> Body:
    """The object with no limits that anybody knows of, and no element whose loss is looked ahead to."""
    match body["kind"]:
        case "PowerDomain":
            return _with(body, ratedWatts=_AMPLE, survivable=False)
        case "Rack":
            return _with(body, limitWatts=_AMPLE, peakLimitWatts=_AMPLE)
        case "CoolingZone":
            units = [{**unit, "capacityWatts": _AMPLE, "state": "Online"} for unit in body["spec"]["units"]]
            return _with(body, units=units)
        case "PowerBudget":
            return _with(body, limitWatts=_AMPLE)
    return body


def _nameplate(site: Site, budget: int) -> Site:
    def told(body: Body) -> Body:
        if (body["kind"], body["metadata"]["name"]) == ("PowerDomain", "utility"):
            return _with(body, ratedWatts=_AMPLE, peakLimitWatts=budget)
        return _loose(body)

    return _as(site, told)


def _rack_cap(site: Site, budget: int) -> Site:
    def told(body: Body) -> Body:
        if body["kind"] == "Rack":
            return _with(body, limitWatts=RACK * budget // NAMEPLATE, peakLimitWatts=_AMPLE)
        return _loose(body)

    return _as(site, told)


def _one_tree(site: Site, budget: int) -> Site:
    ups = sum(
        body["spec"]["ratedWatts"]
        for (kind, name), body in site.bodies.items()
        if kind == "PowerDomain" and name.startswith("ups-")
    )
    rows = {body["spec"]["location"]["row"] for (kind, _), body in site.bodies.items() if kind == "Rack"}
    hall = min(budget, ups * 3 // 4)

    def told(body: Body) -> Body:
        name = body["metadata"]["name"]
        if body["kind"] == "Rack":
            feeds = [{"powerDomain": body["spec"]["location"]["row"], "weight": 1}]
            return _with(body, limitWatts=RACK, peakLimitWatts=_AMPLE, feeds=feeds)
        if (body["kind"], name) == ("PowerDomain", "utility"):
            return _with(body, ratedWatts=hall, peakLimitWatts=_AMPLE)
        return _loose(body)

    parents = [{"powerDomain": "utility", "weight": 1}]
    spec = {
        "type": "Busway",
        "ratedWatts": RACKS_OF_A_ROW * RACK,
        "peakLimitWatts": _AMPLE,
        "parents": parents,
    }
    more = {
        ("PowerDomain", name): {
            "apiVersion": API_VERSION,
            "kind": "PowerDomain",
            "metadata": {"name": name, "uid": f"PowerDomain/{name}", "generation": 1},
            "spec": spec,
        }
        for name in sorted(rows)
    }
    return _as(site, told, more)


_OTHERS: Final = Policy(watts=False, strict=True, shedding=Shedding.OFF)
RULES: Final = (
    Rule("ours", lambda site, budget: site, Policy()),
    Rule("nameplate", _nameplate, _OTHERS),
    Rule("rack cap", _rack_cap, replace(_OTHERS, strict=False)),
    Rule("one tree", _one_tree, _OTHERS),
)
