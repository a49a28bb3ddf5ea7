"""What the hall carries, by plain sums over the API server's objects: a second opinion that shares no code.

Neither the engine nor the operator's reading of the custom resources is used, so a mistake in either shows. It knows
what `hall` uses and nothing more: active feeds, no losses in transformers, nominal equal to peak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Hall", "Load"]

Spec = Mapping[str, Any]


class Load(NamedTuple):
    """What one element carries, in watts, and what it may.

    Args:
        stands: watts that it carries for ``seconds``; as many as its limit if it has no such rating.
    """

    element: str
    watts: float
    limit: float
    stands: float
    seconds: float


class _Sum(NamedTuple):
    """What one element carries, as a sum over racks: fixed watts, and the part of each rack's that comes there."""

    load: Load
    parts: Mapping[str, float]

    def of(self, racks: Mapping[str, float]) -> Load:
        watts = self.load.watts + sum(part * racks[rack] for rack, part in self.parts.items())
        return self.load._replace(watts=watts)


class Hall:
    """Power domains, racks, cooling zones, budgets, and the one profile of their nodes, as they are now."""

    def __init__(self) -> None:
        self._specs: dict[str, dict[str, Spec]] = {
            kind: {} for kind in ("HardwareProfile", "PowerDomain", "Rack", "CoolingZone", "PowerBudget")
        }
        #: by loss, for as long as the hall stays as it is
        self._sums: dict[tuple[str, str], list[_Sum]] = {}
        self._losses: list[tuple[str, str]] | None = None

    def put(self, kind: str, name: str, spec: Spec | None) -> bool:
        """Note what an object says, or (None) that it is gone; returns whether that changes anything."""
        specs = self._specs.get(kind)
        if specs is None or specs.get(name) == spec:
            return False
        if spec is None:
            del specs[name]
        else:
            specs[name] = spec
        self._sums.clear()
        self._losses = None
        return True

    def draw(self, gpus: int, profile: str | None) -> int:
        """Watts above idle of so many GPUs of a node; None: nobody has set a cap."""
        (kind,) = self._specs["HardwareProfile"].values()
        cap: int = kind["maxWatts"] if profile is None else self.cap(profile)
        idle: int = kind["idleWatts"]
        per_node: int = kind["gpusPerNode"]
        # A part of a watt counts as one.
        return -(-(cap - idle) * gpus // per_node)

    def cap(self, profile: str) -> int:
        """Watts that a node is held to."""
        (kind,) = self._specs["HardwareProfile"].values()
        caps: dict[str, int] = {each["name"]: each["nodeWatts"] for each in kind.get("powerProfiles", ())}
        most: int = kind["maxWatts"]
        return caps.get(profile, most)

    def racks(self, nodes: Mapping[str, str], work: Mapping[str, int]) -> dict[str, float]:
        """Watts of each rack.

        Args:
            nodes: the rack of each node that there is. work: watts above idle, by node.
        """
        (kind,) = self._specs["HardwareProfile"].values()
        watts = {name: float(rack.get("overheadWatts", 0)) for name, rack in self._specs["Rack"].items()}
        for node, rack in nodes.items():
            watts[rack] += kind["idleWatts"] + work.get(node, 0)
        return watts

    def losses(self) -> list[tuple[str, str]]:
        """What the hall is built to survive, as arguments of `loads`: nothing, one power domain, one pump."""
        if self._losses is None:
            self._losses = list(self._find_losses())
        return self._losses

    def _find_losses(self) -> Iterator[tuple[str, str]]:
        yield "", ""
        for name, domain in self._specs["PowerDomain"].items():
            if domain.get("survivable") and self._live(name, ""):
                yield name, ""
        for zone in self._specs["CoolingZone"].values():
            running = [unit["name"] for unit in self._running(zone, "", "")]
            if len(running) > zone["neededUnits"]:
                yield from (("", name) for name in running)

    def loads(
        self, racks: Mapping[str, float], lost: str = "", lost_unit: str = "", *, orders: bool = True
    ) -> list[Load]:
        """Every limited element, after the loss of a power domain or a cooling unit.

        Args:
            racks: watts that each draws. orders: whether budgets count, which hold in normal operation only.
        """
        sums = self._sums.get((lost, lost_unit))
        if sums is None:
            sums = self._sums[lost, lost_unit] = self._summed(lost, lost_unit)
        kept = sums if orders else sums[: len(sums) - len(self._specs["PowerBudget"])]
        return [each.of(racks) for each in kept]

    def _summed(self, lost: str, lost_unit: str) -> list[_Sum]:
        """Every limited element, the budgets last."""
        (kind,) = self._specs["HardwareProfile"].values()
        fixed: dict[str, float] = defaultdict(float)
        parts: dict[str, dict[str, float]] = defaultdict(dict)
        found, heated = [], []
        for name, rack in self._specs["Rack"].items():
            found.append(_Sum(_plain(f"rack {name}", 0.0, rack["limitWatts"]), {name: 1.0}))
            carried: dict[str, float] = defaultdict(float)
            if self._push(carried, 1.0, rack["feeds"], lost):
                heated.append(name)
            for element, part in carried.items():
                parts[element][name] = part
        for name, zone in self._specs["CoolingZone"].items():
            running = self._running(zone, lost, lost_unit)
            for unit in running:
                self._push(fixed, unit.get("drawWatts", 0), unit.get("feeds", ()), lost)
            percent = (
                kind["liquidHeatPercent"] if zone["medium"] == "Liquid" else 100 - kind["liquidHeatPercent"]
            )
            usable = sum(sorted(unit["capacityWatts"] for unit in running)[: zone["neededUnits"]])
            seconds = zone.get("rideThroughSeconds", 0)
            load = Load(f"cooling {name}", 0.0, usable, float("inf") if seconds else usable, seconds)
            found.append(_Sum(load, dict.fromkeys(heated, percent / 100)))
        for name, domain in self._specs["PowerDomain"].items():
            limit = domain["ratedWatts"] if self._live(name, lost) else 0
            rating = domain.get("emergency", {"percent": 100, "seconds": 0})
            stands = limit * rating["percent"] / 100
            found.append(_Sum(Load(name, fixed[name], limit, stands, rating["seconds"]), parts[name]))
        for name, budget in self._specs["PowerBudget"].items():
            of: dict[str, float] = defaultdict(float)
            for target in budget["targets"]["powerDomains"]:
                for rack_name, part in parts[target].items():
                    of[rack_name] += part
            watts = sum(fixed[target] for target in budget["targets"]["powerDomains"])
            found.append(_Sum(_plain(name, watts, budget["limitWatts"]), of))
        return found

    def best_effort(self) -> set[str]:
        """Orders for which nobody is stopped."""
        return {name for name, budget in self._specs["PowerBudget"].items() if budget.get("bestEffort")}

    def _live(self, name: str, lost: str) -> bool:
        domain = self._specs["PowerDomain"][name]
        parents = domain.get("parents", ())
        return (
            name != lost
            and domain.get("state", "Online") == "Online"
            and (not parents or any(self._live(parent["powerDomain"], lost) for parent in parents))
        )

    def _running(self, zone: Spec, lost: str, lost_unit: str) -> list[Spec]:
        return [
            unit
            for unit in zone["units"]
            if unit["name"] != lost_unit
            and unit.get("state", "Online") == "Online"
            and (not unit.get("feeds") or any(self._live(f["powerDomain"], lost) for f in unit["feeds"]))
        ]

    def _push(self, carried: dict[str, float], watts: float, feeds: Sequence[Spec], lost: str) -> bool:
        """Add watts to whatever feeds something, and to what feeds that; returns whether anything does."""
        live = [feed for feed in feeds if self._live(feed["powerDomain"], lost)]
        whole = sum(feed.get("weight", 1) for feed in live)
        for feed in live:
            name, part = feed["powerDomain"], watts * feed.get("weight", 1) / whole
            carried[name] += part
            self._push(carried, part, self._specs["PowerDomain"][name].get("parents", ()), lost)
        return bool(live)


def _plain(name: str, watts: float, limit: float) -> Load:
    return Load(name, watts, limit, limit, 0)
